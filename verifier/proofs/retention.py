"""`retention`: which messages would OpenIM delete in one of the next nights?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

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
from verifier.stores.builtin.table import role_of
from verifier.stores.errors import StoreError
from verifier.stores.pool import Stores
from verifier.stores.skew import VERIFIER

BLOCKS = "openim_mongo.msg_block"


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Count the messages that are older than OpenIM keeps messages, as one finding [F127].

    `side` says where: the legacy messages, which are to be imported, or the messages in OpenIM's database, which were. Messages
    of neighbours are not imported and do not count.

    `days` is OpenIM's retention, and `source` names the setting that it comes from. Messages that reach the limit within
    `band_days` are noted. In OpenIM, a document of a hundred seqs is deleted when its newest message is too old, by a job that
    runs at night: documents within `grace_days` beyond the limit wait for it, and are noted too.
    """

    days: float
    source: str
    next_step: str
    side: Literal["legacy", "openim"] = "legacy"
    band_days: float = 7
    grace_days: float = 2
    unseen: tuple[str, ...] = ()
    technique: ClassVar[str] = "retention: the messages that are older than OpenIM keeps messages are counted"
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        if context.baselining:
            return Judgement.not_applicable("baseline taken")
        if context.judges_another_proof:
            return Judgement.not_applicable("another proof of this check")
        return await _Count(self, context).run()

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """What is read."""
        if self.side == "openim":
            return Description(queries=("reads the times in the documents of OpenIM's `msg`",), role="openim_mongo")
        return Description(queries=("reads relation messages",), role=role_of("messages", profile) or "")


class _Count:
    """The messages on one side that are too old, or nearly."""

    def __init__(self, proof: Retention, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.relation = "messages" if proof.side == "legacy" else BLOCKS
        self.old = self.near = self.unread = 0
        self.oldest: tuple[datetime, str] | None = None

    async def run(self) -> Judgement:
        proof, context = self.proof, self.context
        role = role_of(self.relation, context.profile)
        await require_same_time(context, (*((role,) if role else ()), VERIFIER))
        now = await (await context.stores.clock_of(self.relation))()
        limit = now - timedelta(days=proof.days)
        band = limit + timedelta(days=proof.band_days)
        if proof.side == "openim":
            limit -= timedelta(days=proof.grace_days)
        self.source = await context.stores.source(self._rows(band))
        self.whole, self.tally = Whole(self.source, "messages"), Tally(self.source)
        await self.whole.begin()
        async for found in self._found(band):
            for at, conversation_id, count in found:
                self._take(at, conversation_id, count, limit)
            context.progress(self.old + self.near, None, "old messages")
        await self.whole.conclude(self.tally.distinct)
        return self._conclude(now)

    def _rows(self, band: datetime) -> Rows:
        if self.proof.side == "openim":
            return Rows(BLOCKS)
        return Rows("messages", ("conversation_id", "created_at"), (Where("created_at", "<", band),))

    async def _found(self, band: datetime) -> AsyncIterator[list[tuple[datetime, str, int]]]:
        """Time, conversation and number of the messages before `band`."""
        async for chunk in self.source.chunks():
            self.tally.add(chunk)
            if self.proof.side == "openim":
                yield [
                    (row["newest_at"], str(row["conversation_id"]), int(row["filled"]))
                    for row in chunk
                    if row["newest_at"] < band
                ]
            else:
                readable = [row for row in chunk if isinstance(row["created_at"], datetime)]
                self.unread += len(chunk) - len(readable)
                rows = await _without_neighbours(self.context, readable)
                yield [(row["created_at"], str(row["conversation_id"]), 1) for row in rows]

    def _take(self, at: datetime, conversation_id: str, count: int, limit: datetime) -> None:
        if at >= limit:
            self.near += count
            return
        self.old += count
        if self.oldest is None or at < self.oldest[0]:
            self.oldest = at, conversation_id

    def _conclude(self, now: datetime) -> Judgement:
        proof = self.proof
        where = "legacy messages" if proof.side == "legacy" else "messages in OpenIM"
        text = f"OpenIM keeps messages for {proof.days:g} days: {proof.source}"
        counted, unseen = self.old + self.near, (*proof.unseen, *self.whole.unseen)
        coverage = Coverage(counted, counted, f"{where} near or beyond the limit", text, unseen)
        notes = (f"{self.near} {where} reach the limit within {proof.band_days:g} days",) if self.near else ()
        doubts = list(self.whole.doubts)
        if self.unread:
            doubts.append(f"created_at of {self.unread} messages cannot be read; check its type in the profile")
        common: dict[str, Any] = {
            "coverage": (coverage,),
            "notes": (*notes, *doubts),
            "queries": self.source.queries,
        }
        if self.oldest is not None:
            finding = self._finding(where, *self.oldest, now)
            return Judgement(
                verdict=Verdict.VIOLATED, findings=(finding,), findings_total=1, partial=bool(doubts), **common
            )
        if doubts:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason="; ".join(doubts), **common)
        if proof.side == "openim" and not self.tally.rows:
            return Judgement.not_applicable(f"empty: no messages in {self.source.label}")
        return Judgement(verdict=Verdict.HOLDS, **common)

    def _finding(self, where: str, oldest_at: datetime, conversation_id: str, now: datetime) -> Finding:
        proof = self.proof
        key = f"{where} beyond retention"
        return self.context.finding(
            Problem(
                key=key,
                summary=f"{self.old} {where} are older than OpenIM keeps messages; the oldest is in {conversation_id}",
                expected=f"none older than {proof.days:g} days ({proof.source}), or retention off",
                actual=f"{self.old}, the oldest from {oldest_at:%Y-%m-%d}",
                next_step=proof.next_step,
            ),
            key="oldest",
            raw_key=self.context.raw_key("oldest"),
            first_seen_at=now,
            confirmed_at=now,
            evidence={"read from": self.source.label},
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
