"""A field of a hash can be presence: found where it is new or changed, in any hash that is not foreign."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verifier.stores.nights import known_by
from tests.verifier.stores.redis.world import KEYS, RedisWorld
from verifier.model.verdict import Verdict
from verifier.stores.redis.keys import KeyPattern

pytestmark = pytest.mark.anyio

NEW: dict[str, Any] = {
    "presence": lambda client: client.hset("session:1", "presence", "online"),
    "its value": lambda client: client.hset("session:old", "presence", "online"),
    "presence_status": lambda client: client.hset("session:1", "presence_status", "1"),
    "lastPresence": lambda client: client.hset("session:1", "lastPresence", "1"),
    "binary hash": lambda client: client.hset(b"session:\xff", "user:1:presence", b"\xff"),
    "many fields": lambda client: client.hset(
        "session:big", mapping={f"f{n}": n for n in range(3000)} | {"presence": 1}
    ),
}
OTHERS: dict[str, Any] = {
    "another field": lambda client: client.hset("session:old", "seen", "now"),
    "another word": lambda client: client.hset("session:1", "omnipresence", "1"),
    "a foreign hash": lambda client: client.hset("shop:1", "presence", "1"),
    "the same value": lambda client: client.hset("session:old", "presence", "offline"),
    "it is removed": lambda client: client.hdel("session:old", "presence"),
}


@pytest.mark.long
@pytest.mark.parametrize("how", [*NEW, *OTHERS])
async def test_fields_between_two_nights(redis_world: RedisWorld, how: str) -> None:
    """A new or changed field of that name is a finding; others, and foreign ones, are none."""
    async with redis_world.client() as admin:
        await admin.hset("session:old", "presence", "offline")
        async with redis_world.nights(KEYS) as nights:
            nights.store.foreign_keys = ("shop:*",)
            quiet = await nights.night()
            judgement = await redis_world.before(nights, (NEW | OTHERS)[how])
    assert quiet.verdict is Verdict.HOLDS
    if how in NEW:
        assert judgement.verdict is Verdict.VIOLATED
        assert "a field that is new" in " ".join(known_by(judgement))
        assert "field " in str(judgement.findings[0].actual)
    else:
        assert judgement.verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("presence:{u}", "presence"),
        ("im:online:{u}", "online"),
        ("user:{u}:status", ""),
        ("status:{u}", ""),
        ("{u}", ""),
        ("user:{u}:presence", "presence"),
        ("{u}:presence", "presence"),
        ("on:{u}", ""),
    ],
)
def test_the_word_of_a_pattern(pattern: str, word: str) -> None:
    """Words that name many other things are none."""
    assert KeyPattern(pattern).word == word
