"""`histories`: does OpenIM have the messages of a legacy conversation, one for one?

Memory is bounded by the digests of one conversation.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows, Where
from verifier.model.values import Unreadable
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.profile.models import Profile
from verifier.proofs.context import Context
from verifier.proofs.protocol import Description
from verifier.proofs.whole import Tally, Whole, partner_account
from verifier.stores.pool import Stores

MessageKey = tuple[str, int, str]
"""What identifies a message on both sides: sender (OpenIM id), time in Unix milliseconds, digest of the text."""


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Compare a sample of moved conversations with their legacy originals, up to the time at which each one moved.

    `legacy` and `openim` return the key of a message, or None for one that is not compared, such as a notice or a picture.
    Messages before `not_before` are left out. `sample` is the number of conversations.
    """

    legacy: Callable[[Row], MessageKey | None]
    openim: Callable[[Row], MessageKey | None]
    not_before: datetime | None
    sample: int
    unseen: tuple[str, ...] = ()
    technique: ClassVar[str] = (
        "histories: a sample of moved conversations, message for message; a difference is confirmed in a second pass"
    )
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        if context.baselining:
            return Judgement.not_applicable("baseline taken")
        return await _Comparison(self, context).run()

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """What is read on both sides."""
        return Description(
            queries=("reads relation messages, and the messages of the same conversation in OpenIM's `msg`",),
            role="chat_mongo",
        )


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
        self.unread = 0
        self.doubts: tuple[str, ...] = ()
        self.unseen = proof.unseen

    async def run(self) -> Judgement:
        context = self.context
        chosen, total = await self._sample()
        await self._ask_what_is_hidden()
        findings, notes = [], []
        for number, entry in enumerate(chosen, 1):
            difference = await self._compare(entry)
            if difference is not None:
                await asyncio.sleep(context.settle_s)  # an import may be in progress
                again = await self._compare(entry)
                difference = again if again == difference else None
                if again is not None and difference is None:
                    notes.append(f"conversation {entry['conversation_id']} kept changing: not judged")
            if difference is not None and difference.surplus == 0 and difference.missing <= difference.emptied:
                notes.append(
                    f"{difference.missing} messages of {entry['openim_id']} are missing; as many slots are empty, which is what deletion leaves"
                )
            elif difference is not None and self.doubts:
                notes.append(f"the histories of {entry['openim_id']} differ, and messages may be hidden")
            elif difference is not None:
                findings.append(await self._finding(entry, difference))
            context.progress(number, len(chosen), "conversations")
        return self._conclude(findings, notes, len(chosen), total)

    async def _ask_what_is_hidden(self) -> None:
        """Messages that one side hides look like differences."""
        stores = self.context.stores
        for rows in (Rows("messages", self._columns), Rows("openim_mongo.msg")):
            source = await stores.source(rows)
            account = await partner_account(stores, source)
            self.doubts += tuple(f"{source.label}: {what}" for what in account.hidden)
            self.unseen = tuple(dict.fromkeys((*self.unseen, *account.unseen)))

    @property
    def _columns(self) -> tuple[str, ...]:
        profile = self.context.profile
        return tuple(name for name in ("sender_id", "created_at", "content") if profile.has("messages", name))

    async def _sample(self) -> tuple[list[Row], int]:
        """A random sample of the moved conversations, and how many there are. Reservoir sampling keeps memory bounded."""
        columns = ("conversation_id", "openim_id", "since")
        source = await self.context.stores.source(Rows("scope", columns))
        if self.context.only_key is not None:
            name = json.loads(self.context.only_key)[1]
            return [row for row in await source.lookup("conversation_id", [name]) if row["openim_id"]], 1
        chosen: list[Row] = []
        total = 0
        whole, tally = Whole(source, "moved conversations"), Tally(source)
        await whole.begin()
        choice = random.Random()  # noqa: S311 - not used for a secret
        async for chunk in source.chunks():
            tally.add(chunk)
            for row in chunk:
                if isinstance(row["since"], Unreadable):
                    self.unread += 1
                    continue
                if not row["openim_id"] or row["since"] is None:
                    continue
                total += 1
                if len(chosen) < self.proof.sample:
                    chosen.append(row)
                elif (place := choice.randrange(total)) < self.proof.sample:
                    chosen[place] = row
        await whole.conclude(tally.distinct)
        self.doubts += whole.doubts
        return chosen, total

    async def _compare(self, entry: Row) -> _Difference | None:
        legacy, _, _ = await self._message_keys(
            Rows("messages", self._columns, (Where("conversation_id", "=", entry["conversation_id"]),)),
            self.proof.legacy,
            entry["since"],
        )
        ours = Rows("openim_mongo.msg", (), (Where("conversation_id", "=", entry["openim_id"]),))
        openim, filled, highest = await self._message_keys(ours, self.proof.openim, entry["since"])
        self.messages += legacy.total()
        missing, surplus = legacy - openim, openim - legacy
        if not missing and not surplus:
            return None
        first = min(missing or surplus, key=lambda message_key: message_key[1])
        return _Difference(missing.total(), surplus.total(), _when(first), max(0, highest - filled))

    async def _message_keys(
        self, rows: Rows, key_of: Callable[[Row], MessageKey | None], since: datetime
    ) -> tuple[Counter[MessageKey], int, int]:
        """The keys of the messages before the move, the number of all messages, and the highest seq."""
        message_keys: Counter[MessageKey] = Counter()
        seen = highest = 0
        timing = self.context.profile.timing
        # Messages sent around the time of the move are left out on both sides: another store's clock recorded that time.
        latest = (since.timestamp() - timing.clock_skew_max_s - timing.settle_s) * 1000
        earliest = self.proof.not_before.timestamp() * 1000 if self.proof.not_before else 0
        source = await self.context.stores.source(rows)
        async for chunk in source.chunks():
            for row in chunk:
                seen += 1
                if any(isinstance(value, Unreadable) for value in row.values()):
                    self.unread += 1
                    continue
                highest = max(highest, row.get("seq") or 0)
                message_key = key_of(row)
                if message_key is not None and earliest <= message_key[1] <= latest:
                    message_keys[message_key] += 1
        return message_keys, seen, highest

    async def _finding(self, entry: Row, difference: _Difference) -> Finding:
        context = self.context
        name = str(entry["conversation_id"])
        counts = [f"{difference.missing} missing"] if difference.missing else []
        if difference.surplus:
            counts.append(f"{difference.surplus} that the legacy conversation does not have, or has only once")
        at = await (await context.stores.clock_of("messages"))()
        return context.finding(
            Problem(
                key=f"{name} -> {entry['openim_id']}",
                summary=f"the imported history of {entry['openim_id']} differs from that of conversation {name}",
                expected="the same messages by sender, time and text",
                actual=f"{' and '.join(counts)}; the first is from {difference.first}",
                next_step="Import the missing messages with their original time; delete those that were imported twice (msg/delete_msg_phsical_by_seq).",
            ),
            key=name,
            raw_key=context.raw_key(name),
            first_seen_at=at,
            confirmed_at=at,
            evidence={"read from": "relation messages", "compared with": "openim_mongo.msg"},
        )

    def _conclude(self, findings: Sequence[Finding], notes: Sequence[str], seen: int, total: int) -> Judgement:
        text = f"{self.messages} legacy messages compared by sender, time and text"
        coverage = Coverage(seen, total, "moved conversations", text, self.unseen)
        doubts = list(self.doubts)
        if self.unread:
            doubts.append(f"{self.unread} times cannot be read; check the types of the columns in the profile")
        if any(note.endswith("not judged") for note in notes):
            doubts.append("conversations kept changing")
        queries = (
            "messages of one conversation",
            "db.msg.find({doc_id: {$gte: '<conversation>:', $lt: '<conversation>;'}})",
        )
        common: dict[str, Any] = {"coverage": (coverage,), "notes": (*notes, *self.doubts), "queries": queries}
        if findings:
            return Judgement(
                verdict=Verdict.VIOLATED,
                findings=tuple(findings),
                findings_total=len(findings),
                partial=bool(doubts),
                **common,
            )
        if doubts:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason="; ".join(doubts), **common)
        if not total:
            return Judgement.not_applicable("empty: no conversation has moved")
        return Judgement(verdict=Verdict.HOLDS, **common)


def _when(message_key: MessageKey) -> str:
    return f"{datetime.fromtimestamp(message_key[1] / 1000).astimezone():%Y-%m-%d %H:%M}"
