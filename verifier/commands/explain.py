"""`explain`: what one check compares on a stack, with its queries and the privileges it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.model.redact import clean
from verifier.profile import NotMapped, Profile, ProfileError, load_profile
from verifier.proofs import Proof
from verifier.render.console import make_console
from verifier.stores.errors import StoreError
from verifier.stores.pool import Stores


def explain_check(check_id: str, profile_path: Path, files: Sequence[Path]) -> None:
    """Print title, reason, queries and privileges of one check. Raises ProfileError for an unknown check."""
    registry = load_checks(files)
    if check_id not in registry:
        raise ProfileError(f"there is no check {check_id!r}; see: verifier list")
    item = registry[check_id]
    console = make_console()
    console.print(f"{item.id}  {item.title}", style="bold")
    console.print(f"{item.severity.label}, from {item.phase.code} {item.phase.value} on; data ownership: {item.row}")
    console.print(f"\n{' '.join(item.why.split())}\n")
    if not profile_path.exists():
        console.print(f"No profile at {profile_path}; with a profile, the queries are shown.")
        return
    profile = load_profile(profile_path)
    try:
        proofs = item.proofs(profile)
    except (NotMapped, NotApplicable) as reason:
        console.print(f"Not applicable on {profile.stack}: {reason}.")
        return
    for number, proof in enumerate(proofs, 1):
        console.print(f"Proof {number} of {len(proofs)}: {proof.technique}", style="bold")
        for line in asyncio.run(_describe(proof, profile)):
            console.print(f"  {clean(line)}", soft_wrap=True)


async def _describe(proof: Proof, profile: Profile) -> list[str]:
    stores = Stores(profile)
    try:
        described = await proof.describe(profile, stores)
    except (StoreError, NotMapped) as error:
        return [f"the queries cannot be shown: {error}"]
    finally:
        await stores.close()
    needs = [text] if (text := _needs(profile, described.role)) else []
    return [*described.queries, *needs, *(f"not visible: {what}" for what in described.unseen)]


def _needs(profile: Profile, role: str) -> str:
    needs = {
        "PostgresRole": "needs: CONNECT, USAGE on the schema, SELECT on the table; counters are readable by any role",
        "MongoRole": "needs: role `read` on the database; change streams are part of it",
        "RedisRole": "needs: an ACL user with +@read +scan +info +time +select +subscribe +ssubscribe +psubscribe +pubsub +client|list and the key patterns (%R~…); on a cluster +cluster|nodes, on every node",
        "BrokerRole": "needs: the tag `monitoring` and an entry without permissions in each vhost",
        "OpenIMRole": "needs: an admin user ID that nothing else uses; the allow-list of routes limits the verifier to reading",
    }
    config = profile.roles.get(role)
    return needs.get(type(config).__name__, "")
