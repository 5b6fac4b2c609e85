"""Whose times a proof compares: where those clocks are too far apart, it cannot know.

Told from what a proof reads, so that a check has nothing to declare: a filter on a time, a TTL beside the token that it belongs to, or
times on both sides of a pair. A check that reads such columns without comparing them says `clocks=()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.stores.builtin.table import OPENIM, role_of
from verifier.stores.errors import StoreError
from verifier.stores.skew import VERIFIER

if TYPE_CHECKING:
    from verifier.proofs.context import Context
    from verifier.proofs.reconcile import Reconcile
    from verifier.proofs.rule import Rule

_TIMES = ("timestamp", "epoch_s", "epoch_ms")


class ClocksApart(StoreError):
    """The clocks that a proof compares differ by more than the bound: its answer would be about the clocks."""


async def require_same_time(context: Context, clocks: Iterable[str]) -> None:
    """Raises ClocksApart. A store that cannot be reached is left to whoever needs it."""
    apart = await context.stores.apart(clocks, context.profile.timing.clock_skew_max_s)
    if apart is not None:
        raise ClocksApart(
            f"clocks apart: {apart}, and this check compares their times. Set the clocks, then run again."
        )


def clocks_of(proof: Rule | Reconcile, profile: Profile) -> frozenset[str]:
    """The roles (and VERIFIER) whose times a rule or reconcile proof compares; empty or a single one: no comparison."""
    if proof.clocks is not None:
        return frozenset(proof.clocks)
    against = getattr(proof, "against", None)
    sides = [proof.subject, *([against] if against else []), *(rows for rows, _ in getattr(proof, "or_against", ()))]
    found: set[str] = set()
    for rows in sides:
        if (role := role_of(rows.relation, profile)) is None:
            continue
        if any(isinstance(where.value, datetime) for where in rows.where):
            found |= {role, VERIFIER}
        if {"ttl_ms", "token"} <= set(rows.columns):
            found |= {role, VERIFIER, OPENIM}  # the token's exp was written by OpenIM's clock
    timed = {role_of(rows.relation, profile) for rows in sides if _reads_a_time(rows, profile)} - {None}
    if len(timed) > 1:
        found |= {role for role in timed if role}
    return frozenset(found)


def _reads_a_time(rows: Rows, profile: Profile) -> bool:
    relation = profile.relations.get(rows.relation)
    return relation is not None and any(
        relation.columns[name].type in _TIMES for name in rows.columns if name in relation.columns
    )
