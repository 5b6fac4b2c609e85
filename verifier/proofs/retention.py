"""`retention`: which legacy messages would OpenIM delete soon after their import?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows, Where
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.models import Profile
from verifier.proofs.clocks import require_same_time
from verifier.proofs.context import Context
from verifier.proofs.lookups import Home, look_up
from verifier.proofs.protocol import Description
from verifier.proofs.whole import Tally, Whole, partner_account
from verifier.stores.errors import StoreError
from verifier.stores.pool import Stores
from verifier.stores.skew import VERIFIER


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Count the legacy messages that are older than OpenIM keeps messages, as one finding [F127].

    `days` is OpenIM's retention, and `source` names the setting that it comes from. Messages that reach the limit within
    `band_days` are noted. Messages of neighbours are not imported and do not count.
    """

    days: float
    source: str
    next_step: str
    band_days: float = 7
    technique: ClassVar[str] = "retention: the messages that are older than OpenIM keeps messages are counted"
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        if context.baselining:
            return Judgement.not_applicable("baseline taken")
        profile = context.profile
        await require_same_time(context, (profile.relation("messages").role, VERIFIER))
        now = await (await context.stores.clock_of("messages"))()
        limit = now - timedelta(days=self.days)
        band = limit + timedelta(days=self.band_days)
        rows = Rows("messages", ("conversation_id", "created_at"), (Where("created_at", "<", band),))
        source = await context.stores.source(rows)
        whole, tally = Whole(source, "messages"), Tally(source)
        old = near = unread = 0
        oldest: Row | None = None
        await whole.begin()
        async for chunk in source.chunks():
            tally.add(chunk)
            readable = [row for row in chunk if isinstance(row["created_at"], datetime)]
            unread += len(chunk) - len(readable)
            for row in await _without_neighbours(context, readable):
                if row["created_at"] >= limit:
                    near += 1
                    continue
                old += 1
                if oldest is None or row["created_at"] < oldest["created_at"]:
                    oldest = row
            context.progress(old + near, None, "old messages")
        await whole.conclude(tally.distinct)
        doubts = list(whole.doubts)
        if unread:
            doubts.append(f"created_at of {unread} messages cannot be read; check its type in the profile")
        text = f"OpenIM keeps messages for {self.days:g} days: {self.source}"
        coverage = Coverage(old + near, old + near, "legacy messages near or beyond the limit", text, whole.unseen)
        notes = (f"{near} legacy messages reach the limit within {self.band_days:g} days",) if near else ()
        common: dict[str, Any] = {"coverage": (coverage,), "notes": (*notes, *doubts), "queries": source.queries}
        if oldest is None and doubts:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason="; ".join(doubts), **common)
        if oldest is None:
            return Judgement(verdict=Verdict.HOLDS, **common)
        finding = self._finding(context, old, oldest, now, source.label)
        return Judgement(
            verdict=Verdict.VIOLATED, findings=(finding,), findings_total=1, partial=bool(doubts), **common
        )

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """What is read."""
        return Description(
            queries=("reads relation messages",),
            role="chat_mongo",
        )

    def _finding(self, context: Context, count: int, oldest: Row, now: datetime, label: str) -> Finding:
        return context.finding(
            Problem(
                key="legacy messages beyond retention",
                summary=f"{count} legacy messages are older than OpenIM keeps messages; the oldest is in {oldest['conversation_id']}",
                expected=f"none older than {self.days:g} days ({self.source}), or retention off",
                actual=f"{count}, the oldest from {oldest['created_at']:%Y-%m-%d}",
                next_step=self.next_step,
            ),
            key="oldest",
            raw_key=context.raw_key("oldest"),
            first_seen_at=now,
            confirmed_at=now,
            evidence={"read from": label},
        )


async def _without_neighbours(context: Context, rows: Sequence[Row]) -> list[Row]:
    """The rows of conversations that do not stay on the platform on purpose. Raises StoreError where it cannot be known."""
    if not rows or not context.profile.has("neighbours", "conversation_id"):
        return list(rows)
    source = await context.stores.source(Rows("neighbours", ("conversation_id",)))
    hidden = (await partner_account(context.stores, source)).hidden
    found = await look_up([row["conversation_id"] for row in rows], [Home(source, "conversation_id")])
    silent = next((item.unanswered for item in found if item.unanswered), "")
    staying = [row for row, item in zip(rows, found, strict=True) if not item.rows]
    if silent or (hidden and staying):
        raise StoreError(f"it is not known which conversations are neighbours: {silent or hidden[0]} ({source.label}).")
    return staying
