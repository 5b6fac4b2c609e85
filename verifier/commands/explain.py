"""`explain`: what one check compares on a stack, with its queries and the privileges it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.model.redact import clean
from verifier.profile import NotMapped, Profile, ProfileError, load_profile
from verifier.proofs import (
    Absence,
    Declared,
    Delivery,
    Histories,
    Inventory,
    Monotonic,
    Proof,
    Reconcile,
    Retention,
    Rule,
    Unique,
)
from verifier.stores.errors import StoreError
from verifier.stores.pool import Stores


def explain_check(check_id: str, profile_path: Path, files: Sequence[Path]) -> None:
    """Print title, reason, queries and privileges of one check. Raises ProfileError for an unknown check."""
    registry = load_checks(files)
    if check_id not in registry:
        raise ProfileError(f"there is no check {check_id!r}; see: verifier list")
    item = registry[check_id]
    console = Console()
    console.print(f"{item.id}  {item.title}", style="bold", markup=False)
    console.print(
        f"{item.severity.label}, from {item.phase.code} {item.phase.value} on; data ownership: {item.row}", markup=False
    )
    console.print(f"\n{item.why}\n", markup=False)
    if not profile_path.exists():
        console.print(f"No profile at {profile_path}; with a profile, the queries are shown.", markup=False)
        return
    profile = load_profile(profile_path)
    try:
        proofs = item.proofs(profile)
    except (NotMapped, NotApplicable) as reason:
        console.print(f"Not applicable on {profile.stack}: {reason}.", markup=False)
        return
    for number, proof in enumerate(proofs, 1):
        console.print(f"Proof {number} of {len(proofs)}: {_kind(proof)}", style="bold", markup=False)
        for line in asyncio.run(_describe(proof, profile)):
            console.print(f"  {clean(line)}", markup=False, soft_wrap=True)


def _kind(proof: Proof) -> str:
    words = {
        Reconcile: "reconcile: every record is looked up on the other side, differences are looked at twice",
        Rule: "rule: every record must satisfy it, breaches are looked at twice",
        Absence: "absence: counter, witness and continuity since the last reading",
        Inventory: "inventory: every object is declared and no undeclared one there",
        Delivery: "delivery: judged from the canary's journal",
        Unique: "unique: records that clash are looked at twice",
        Monotonic: "monotonic: no number falls below the highest that an earlier run saw, falls are looked at twice",
        Histories: "histories: a sample of moved conversations, message for message, differences are looked at twice",
        Retention: "retention: what is older than OpenIM keeps messages is counted",
        Declared: "declared: each setting is asked for and compared, differences are looked at twice",
    }
    return words[type(proof)]


async def _describe(proof: Proof, profile: Profile) -> list[str]:
    if isinstance(proof, Delivery):
        return [proof.statement, *(f"not visible: {what}" for what in proof.unseen)]
    if isinstance(proof, Declared):
        return [
            *(f"POST /config/get_config {name}: {', '.join(settings)}" for name, settings in proof.expected.items()),
            *(f"read {path}" for path in proof.files),
        ]
    if isinstance(proof, Inventory):
        return [f"lists {', '.join(proof.kinds)} of {proof.role}", _needs(profile, proof.role)]
    if isinstance(proof, Histories | Retention):
        return [
            "reads relation messages, and of OpenIM's msg what belongs to the same conversation",
            _needs(profile, "chat_mongo"),
        ]
    stores = Stores(profile)
    try:
        if isinstance(proof, Absence):
            observer = await stores.observer(proof.kind, proof.target, proof.columns)
            queries, role = observer.queries, _role_of(profile, proof)
        else:
            places = [proof.subject]
            if isinstance(proof, Reconcile):
                places += [proof.against, *(rows for rows, _ in proof.or_against), *(rows for _, rows, _ in proof.also)]
            sources = [await stores.source(rows) for rows in places]
            queries = tuple(query for source in sources for query in source.queries)
            relation = profile.relations.get(proof.subject.relation)
            stored = proof.subject.relation.startswith("openim_mongo.")
            role = relation.role if relation else "openim_mongo" if stored else "openim"
    except (StoreError, NotMapped) as error:
        return [f"the queries cannot be shown: {error}"]
    finally:
        await stores.close()
    return [*queries, _needs(profile, role), *(f"not visible: {what}" for what in getattr(proof, "unseen", ()))]


def _role_of(profile: Profile, proof: Absence) -> str:
    if proof.kind == "relation":
        return profile.relation(proof.target).role
    return (profile.channel(proof.target) if proof.kind == "channel" else profile.queue(proof.target)).role


def _needs(profile: Profile, role: str) -> str:
    needs = {
        "PostgresRole": "needs: CONNECT, USAGE on the schema, SELECT on the table; counters are readable by any role",
        "MongoRole": "needs: role `read` on the database; change streams are part of it",
        "RedisRole": "needs: an ACL user with +@read +scan +info +subscribe +ssubscribe +psubscribe +pubsub +client|list and the key patterns",
        "BrokerRole": "needs: the tag `monitoring` and an entry without permissions in each vhost",
        "OpenIMRole": "needs: an admin id of the verifier's own; the route list keeps it to reading",
    }
    config = profile.roles.get(role)
    return needs.get(type(config).__name__, "")
