"""A credential that can write is found, whatever its rights are limited to."""

from __future__ import annotations

import pytest

from tests.verifier.stores.redis.reading import connected
from tests.verifier.stores.redis.world import RedisWorld

pytestmark = [pytest.mark.long, pytest.mark.anyio]

READS = "+@read +ping +select +acl|whoami +acl|dryrun"
USERS = {
    f"~* &* -@all {READS}": "ok",
    f"%R~im:* {READS}": "ok",
    f"~* {READS} +hset": "too_many",
    f"~im:token:* {READS} +hset": "too_many",
    f"~* {READS} +flushall": "too_many",
    f"~x:* {READS} +eval": "too_many",
    f"~* {READS} +expire": "too_many",
    f"~* {READS} +@list": "too_many",
    f"~* {READS} +xgroup|create": "too_many",
    "~im:token:* &* +@all -del -publish -@admin +acl|dryrun": "too_many",
    f"~x:* {READS} +set +acl|getuser": "too_many",
    f"%R~* {READS} +set +acl|getuser": "unknown",
    f"~none:* {READS} +set": "unknown",
    "~* +@all -@admin": "unknown",
    f"~* {READS} (~sub:* +set)": "unknown",
    f"~* {READS} +acl|getuser (~sub:* +set)": "too_many",
}


@pytest.mark.parametrize("rules", USERS)
async def test_what_a_user_may_do(redis_world: RedisWorld, rules: str) -> None:
    """Limited to key patterns, to single commands, or to both; no message has a key or a password."""
    place = redis_world.grant.verifier.rpartition("@")[2]
    words = rules.partition("(")[0].split() + ([f"({rules.partition('(')[2]}"] if "(" in rules else [])
    async with redis_world.client() as admin:
        await admin.set("im:token:1", "x")
        await admin.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">secretword", *words)
        async with connected(f"redis://limited:secretword@{place}") as store:
            found = await store.privileges()
        await admin.execute_command("ACL", "DELUSER", "limited")
    assert [item.state for item in found] == [USERS[rules]], found
    assert not any(text in str(found) for text in ("im:token:1", "secretword"))
