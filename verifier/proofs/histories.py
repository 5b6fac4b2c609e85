"""`histories`: does OpenIM hold what a legacy conversation held, message for message? `retention`: how much of it would not last?

Memory is one conversation's digests at a time, never its messages.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows, Where
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.proofs.clocks import require_same_time
from verifier.proofs.context import Context
from verifier.stores.skew import VERIFIER

Mark = tuple[str, int, str]
"""Sender (OpenIM id), time in ms, digest of the text."""
LOOKUP_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Compare both homes of a sample of moved conversations, up to the time at which each moved.

    `legacy` and `openim` say what stands for a message, None for one that the comparison leaves out (a notice, a picture).
    """

    legacy: Callable[[Row], Mark | None]
    openim: Callable[[Row], Mark | None]
    not_before: datetime | None
    sample: int
    unseen: tuple[str, ...] = ()
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        if context.baselining:
            return Judgement.not_applicable("baseline taken")
        return await _Comparison(self, context).run()


@dataclass(frozen=True, slots=True)
class _Difference:
    missing: int
    surplus: int
    first: str
    emptied: int


class _Comparison:
    def __init__(self, proof: Histories, context: Context) -> None:
        self.proof = proof
        self.context = context
        self.messages = 0

    async def run(self) -> Judgement:
        context = self.context
        chosen, total = await self._sample()
        findings, notes = [], []
        for number, entry in enumerate(chosen, 1):
            difference = await self._compare(entry)
            if difference is not None:
                await asyncio.sleep(context.settle_s)  # an import that is under way
                again = await self._compare(entry)
                difference = again if again == difference else None
                if again is not None and difference is None:
                    notes.append(f"conversation {entry['conversation_id']} kept changing: not judged")
            if difference is not None and difference.surplus == 0 and difference.missing <= difference.emptied:
                notes.append(
                    f"{difference.missing} messages of {entry['openim_id']} are not there; as many slots are empty, as deletion leaves them"
                )
            elif difference is not None:
                findings.append(await self._finding(entry, difference))
            context.progress(number, len(chosen), "conversations")
        return self._conclude(findings, notes, len(chosen), total)

    async def _sample(self) -> tuple[list[Row], int]:
        """Some conversations, others in each run: a reservoir, so that nothing is loaded whole."""
        columns = ("conversation_id", "openim_id", "since")
        source = await self.context.stores.source(Rows("scope", columns))
        if self.context.only_key is not None:
            name = json.loads(self.context.only_key)[1]
            return [row for row in await source.lookup("conversation_id", [name]) if row["openim_id"]], 1
        chosen: list[Row] = []
        total = 0
        choice = random.Random()  # noqa: S311 - a choice, not a secret
        async for chunk in source.chunks():
            for row in chunk:
                if not row["openim_id"] or row["since"] is None:
                    continue
                total += 1
                if len(chosen) < self.proof.sample:
                    chosen.append(row)
                elif (place := choice.randrange(total)) < self.proof.sample:
                    chosen[place] = row
        return chosen, total

    async def _compare(self, entry: Row) -> _Difference | None:
        profile = self.context.profile
        columns = tuple(name for name in ("sender_id", "created_at", "content") if profile.has("messages", name))
        legacy, _, _ = await self._marks(
            Rows("messages", columns, (Where("conversation_id", "=", entry["conversation_id"]),)),
            self.proof.legacy,
            entry["since"],
        )
        ours = Rows("openim_mongo.msg", (), (Where("conversation_id", "=", entry["openim_id"]),))
        openim, filled, highest = await self._marks(ours, self.proof.openim, entry["since"])
        self.messages += legacy.total()
        missing, surplus = legacy - openim, openim - legacy
        if not missing and not surplus:
            return None
        first = min(missing or surplus, key=lambda mark: mark[1])
        return _Difference(missing.total(), surplus.total(), _when(first), max(0, highest - filled))

    async def _marks(
        self, rows: Rows, mark_of: Callable[[Row], Mark | None], since: datetime
    ) -> tuple[Counter[Mark], int, int]:
        """What stands for each message before the move; how many there are at all, and the highest seq."""
        marks: Counter[Mark] = Counter()
        seen = highest = 0
        timing = self.context.profile.timing
        # What was sent about the move is left out on both sides: it is a second store's clock that says when that was.
        latest = (since.timestamp() - timing.clock_skew_max_s - timing.settle_s) * 1000
        earliest = self.proof.not_before.timestamp() * 1000 if self.proof.not_before else 0
        source = await self.context.stores.source(rows)
        async for chunk in source.chunks():
            for row in chunk:
                seen += 1
                highest = max(highest, row.get("seq") or 0)
                mark = mark_of(row)
                if mark is not None and earliest <= mark[1] <= latest:
                    marks[mark] += 1
        return marks, seen, highest

    async def _finding(self, entry: Row, difference: _Difference) -> Finding:
        context = self.context
        name = str(entry["conversation_id"])
        told = [f"{difference.missing} missing"] if difference.missing else []
        told += (
            [f"{difference.surplus} that the legacy conversation has not, or has once"] if difference.surplus else []
        )
        at = await (await context.stores.clock_of("messages"))()
        return context.finding(
            Problem(
                key=f"{name} -> {entry['openim_id']}",
                summary=f"the imported history of {entry['openim_id']} is not that of conversation {name}",
                expected="the same messages: sender, time and text",
                actual=f"{' and '.join(told)}; the first from {difference.first}",
                next_step="Import what is missing with its own time; delete what came twice (msg/delete_msg_phsical_by_seq).",
            ),
            key=name,
            raw_key=context.raw_key(name),
            first_seen_at=at,
            confirmed_at=at,
            evidence={"read from": "relation messages", "compared with": "openim_mongo.msg"},
        )

    def _conclude(self, findings: Sequence[Finding], notes: Sequence[str], seen: int, total: int) -> Judgement:
        text = f"{self.messages} legacy messages compared by sender, time and text"
        coverage = Coverage(seen, total, "moved conversations", text, self.proof.unseen)
        queries = (
            "messages of one conversation",
            "db.msg.find({doc_id: {$gte: '<conversation>:', $lt: '<conversation>;'}})",
        )
        common: dict[str, Any] = {"coverage": (coverage,), "notes": tuple(notes), "queries": queries}
        if findings:
            return Judgement(verdict=Verdict.VIOLATED, findings=tuple(findings), findings_total=len(findings), **common)
        if any(note.endswith("not judged") for note in notes):
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason="conversations kept changing", **common)
        if not total:
            return Judgement.not_applicable("empty: no conversation has moved")
        return Judgement(verdict=Verdict.HOLDS, **common)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Count the legacy messages that OpenIM's next nightly run would delete once they are imported, as one finding.

    `band_days`: what lies so little above the limit is noted. Neighbours' messages are not imported and left out.
    """

    days: float
    told: str
    next_step: str
    band_days: float = 7
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
        old = near = 0
        oldest: Row | None = None
        async for chunk in source.chunks():
            for row in await _without_neighbours(context, chunk):
                if row["created_at"] >= limit:
                    near += 1
                    continue
                old += 1
                if oldest is None or row["created_at"] < oldest["created_at"]:
                    oldest = row
            context.progress(old + near, None, "old messages")
        text = f"OpenIM keeps messages {self.days:g} days: {self.told}"
        coverage = Coverage(old + near, old + near, "legacy messages near or beyond that", text)
        notes = (f"{near} legacy messages reach that age within {self.band_days:g} days",) if near else ()
        common: dict[str, Any] = {"coverage": (coverage,), "notes": notes, "queries": source.queries}
        if oldest is None:
            return Judgement(verdict=Verdict.HOLDS, **common)
        finding = self._finding(context, old, oldest, now, source.label)
        return Judgement(verdict=Verdict.VIOLATED, findings=(finding,), findings_total=1, **common)

    def _finding(self, context: Context, count: int, oldest: Row, now: datetime, label: str) -> Finding:
        return context.finding(
            Problem(
                key="legacy messages beyond retention",
                summary=f"{count} legacy messages are older than OpenIM keeps messages; the oldest is in {oldest['conversation_id']}",
                expected=f"none older than {self.days:g} days ({self.told}), or retention off",
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
    """Without the conversations that stay legacy on purpose."""
    if not context.profile.has("neighbours", "conversation_id"):
        return list(rows)
    source = await context.stores.source(Rows("neighbours", ("conversation_id",)))
    names = list(dict.fromkeys(str(row["conversation_id"]) for row in rows))
    staying: set[str] = set()
    for start in range(0, len(names), LOOKUP_BATCH):
        found = await source.lookup("conversation_id", names[start : start + LOOKUP_BATCH])
        staying |= {str(row["conversation_id"]) for row in found}
    return [row for row in rows if str(row["conversation_id"]) not in staying]


def _when(mark: Mark) -> str:
    return f"{datetime.fromtimestamp(mark[1] / 1000).astimezone():%Y-%m-%d %H:%M}"
