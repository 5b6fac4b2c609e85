"""Which clocks a proof compares. If they are too far apart, the proof cannot know the answer.

The clocks are inferred from the relations that a proof reads: a filter on a time, a TTL beside the token that it belongs to,
or time columns on both sides of a pair. A check that reads such columns without comparing them says `clocks=()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs.context import Context
from verifier.proofs.records import RecordProof
from verifier.stores.builtin.table import OPENIM, role_of
from verifier.stores.errors import StoreError
from verifier.stores.skew import VERIFIER

_TIMES = ("timestamp", "epoch_s", "epoch_ms")


class ClocksApart(StoreError):
    """The clocks that a proof compares differ by more than `timing.clock_skew_max_s`."""


async def require_same_time(context: Context, clocks: Iterable[str]) -> None:
    """Raise ClocksApart if these clocks differ by more than the bound. An unreachable store is not reported here."""
    apart = await context.stores.apart(clocks, context.profile.timing.clock_skew_max_s)
    if apart is not None:
        raise ClocksApart(f"clocks apart: {apart}, and this check compares their times. Set the clocks and run again.")


def clocks_of(proof: RecordProof, profile: Profile) -> frozenset[str]:
    """The roles (and VERIFIER) whose times a proof compares. With fewer than two there is no comparison."""
    if proof.clocks is not None:
        return frozenset(proof.clocks)
    found: set[str] = set()
    for rows in proof.compared:
        if (role := role_of(rows.relation, profile)) is None:
            continue
        if any(isinstance(where.value, datetime) for where in rows.where):
            found |= {role, VERIFIER}
        if {"ttl_ms", "token"} <= set(rows.columns):
            found |= {role, VERIFIER, OPENIM}  # OpenIM's clock wrote the token's exp
    timed = {role_of(rows.relation, profile) for rows in proof.compared if _reads_a_time(rows, profile)} - {None}
    if len(timed) > 1:
        found |= {role for role in timed if role}
    return frozenset(found)


def _reads_a_time(rows: Rows, profile: Profile) -> bool:
    relation = profile.relations.get(rows.relation)
    return relation is not None and any(
        relation.columns[name].type in _TIMES for name in rows.columns if name in relation.columns
    )
