"""Carries out `Rule` and `Reconcile`: read a relation once, then judge each suspect a second time.

A difference that is seen once proves nothing on a live system, because a write may be in transit between two stores. A suspect
becomes a finding only if the second pass, a settle window later by the store's own clock, sees the same difference with both
sides unchanged. A suspect that keeps changing is judged up to three times and is then reported as unresolved.

What was not seen is said: records that the reading lacks, suspects that are not found again, partners that a store did not
answer for, and values that cannot be read. Each of them makes the proof inconclusive unless there are findings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from verifier.model.finding import Finding
from verifier.model.invariant import Row
from verifier.proofs.again import REREAD_MAX, Again, key_from, key_of, text_of
from verifier.proofs.context import Context
from verifier.proofs.lookups import Agrees, Found, Home, look_up
from verifier.proofs.matching import exact, key_text
from verifier.proofs.open_findings import OpenFindings
from verifier.proofs.records import RecordProof
from verifier.proofs.suspects import Candidate, Judged, Suspect, Suspects, Unread, facts_of, later
from verifier.proofs.whole import Tally, Whole, partner_account
from verifier.stores.protocols import OrderedSource, Source

SUSPECTS_MAX = 10_000
PASSES_MAX = 3
_FORMAT = 2
"""The form of checkpoints. One of another form does not fit."""


class Walk:
    """The reading of one relation for one proof."""

    def __init__(self, proof: RecordProof, context: Context) -> None:
        self.proof = proof
        self.partners = proof.partners
        self.context = context
        self.seen = 0
        self.left_out = 0
        self.overflow = 0
        self.without_visible_partner = 0
        self.lost = 0
        self._equal: dict[tuple[str, Hashable], set[Hashable]] = {}
        self.unread = Unread()
        self.partner_doubts: tuple[str, ...] = ()
        self.unseen = proof.unseen
        self.open_findings = OpenFindings(context, proof.subject.relation) if proof.remembers else None

    async def open(self) -> None:
        """Make the sources, and ask those of partners whether they hide records."""
        stores = self.context.stores
        self.source: Source = await stores.source(self.proof.subject)
        self.again = Again(self.source)
        self.tally = Tally(self.source)
        self.homes: list[Home] = []
        self.also: list[tuple[str, Home]] = []
        if self.partners is not None:
            self.homes = [await self._home(await stores.source(rows), there) for rows, there in self.partners.homes]
            self.also = [
                (here, await self._home(await stores.source(rows), there)) for here, rows, there in self.partners.also
            ]
        self.clock = await stores.clock_of(self.proof.subject.relation)

    async def _home(self, source: Source, column: str) -> Home:
        account = await partner_account(self.context.stores, source)
        doubts = tuple(f"{source.label}: {what}" for what in account.hidden)
        self.partner_doubts = tuple(dict.fromkeys((*self.partner_doubts, *doubts)))
        self.unseen = tuple(dict.fromkeys((*self.unseen, *account.unseen)))
        return Home(source, column, hides=bool(doubts))

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries of all sources."""
        partners = (*self.homes, *(home for _, home in self.also))
        return (*self.source.queries, *(query for home in partners for query in home.source.queries))

    # ---- first pass ----

    async def first_pass(self) -> Suspects:
        """Read the relation, from the checkpoint on if there is one, and return the suspects by key."""
        if self.context.only_key is not None:
            return await self._only(self.context.only_key)
        self.whole = Whole(self.source, self.proof.unit)
        suspects, position, done = self._resumed()
        if done:
            await self.whole.conclude(None)
            return suspects
        await self.whole.begin()
        sampled = False
        async for chunk in self.source.chunks() if position is None else self._ordered().chunks(position):
            self.tally.add(chunk)
            await self._take(chunk, suspects)
            self.context.progress(self.seen, None, self.proof.unit)
            if self.proof.sample is not None and self.seen >= self.proof.sample:
                sampled = True
                break
            self._checkpoint(suspects)
        await self.whole.conclude(None if sampled else self.tally.distinct)
        self._checkpoint(suspects, done=True)
        return suspects

    async def _take(self, chunk: Sequence[Row], suspects: Suspects) -> None:
        """Judge a chunk of the first pass."""
        judged = await self.judge(chunk)
        new: Suspects = {}
        for item in judged.candidates:
            self._remember(item)
            new.setdefault(text_of(item.suspect.key), item.suspect)
        new = judged.silent | new
        room = {key: item for key, item in new.items() if key in suspects or len(suspects) < SUSPECTS_MAX}
        room = dict(list(room.items())[: max(0, SUSPECTS_MAX - len(suspects))]) if len(room) < len(new) else room
        self.overflow += len(new) - len(room)
        suspects |= await self._with_findable(room)

    async def _with_findable(self, suspects: Suspects) -> Suspects:
        """The suspects, each with whether a look-up by its key finds it now."""
        found = {text_of(key_of(self.source, row)) for row in await self.again.look_up(_keys(suspects))}
        return {key: replace(item, findable=key in found) for key, item in suspects.items()}

    async def _only(self, raw_key: str) -> Suspects:
        """The record of one finding, if there still is a problem with it."""
        self.whole = Whole(self.source, self.proof.unit)
        await self.whole.conclude(None)
        key = key_from(raw_key)
        rows = await self.again.look_up([key])
        if not rows and not self.again.silent and not self.proof.remembers and not await self.again.works(key):
            rows = await self.again.read_again([key])
        self.tally.add(rows)
        judged = await self.judge(rows)
        silent = (
            {key: Suspect(key, "", await self.clock(), silent="the store of the record")} if self.again.silent else {}
        )
        suspects = {text_of(item.suspect.key): item.suspect for item in judged.candidates}
        return silent | judged.silent | await self._with_findable(suspects)

    def _remember(self, item: Candidate) -> None:
        if self.open_findings is not None:
            at = item.suspect.first_seen_at
            self.open_findings.see(self._raw_key(item.suspect), self._shown(item.row), item.problem, at)

    def _ordered(self) -> OrderedSource:
        if not isinstance(self.source, OrderedSource):
            raise TypeError(
                f"{self.source.label} has no order to resume in"
            )  # pragma: no cover - only an ordered source has positions
        return self.source

    # ---- checkpoints ----

    @property
    def _slot(self) -> str:
        return f"walk {self.context.proof_index}"

    @property
    def _question(self) -> str:
        """A digest of what the proof asks. A checkpoint of another question does not fit."""
        proof = self.proof
        asked = (
            _FORMAT,
            type(proof).__name__,
            self.context.phase.value,
            self.queries,
            proof.unit,
            proof.statement,
            proof.sample,
        )
        return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _checkpoint(self, suspects: Mapping[Any, Suspect], *, done: bool = False) -> None:
        checkpoints = self.context.checkpoints
        position = self.source.position if isinstance(self.source, OrderedSource) else None
        if checkpoints is None or (position is None and not done and self.open_findings is None):
            return

        def state() -> dict[str, Any]:
            return {
                "question": self._question,
                "position": position,
                "done": done,
                "read": self.tally.rows,
                "seen": self.seen,
                "left_out": self.left_out,
                "overflow": self.overflow,
                "without_visible_partner": self.without_visible_partner,
                "unread": self.unread.to_json(),
                "shortfall": self.whole.shortfall,
                "suspects": [item.to_json() for item in suspects.values()],
                "open": self.open_findings.state if self.open_findings is not None else {},
            }

        checkpoints.save(self.context.check_id, self._slot, state)

    def _resumed(self) -> tuple[Suspects, str | None, bool]:
        """Suspects, position and whether the reading was complete; empty if no checkpoint fits."""
        checkpoints = self.context.checkpoints
        raw = checkpoints.load(self.context.check_id, self._slot) if checkpoints else None
        if raw is None or raw["question"] != self._question:
            return {}, None, False
        if self.open_findings is not None:
            self.open_findings.resume(raw["open"])
        if not raw["done"] and not isinstance(self.source, OrderedSource):
            return {}, None, False
        self.seen, self.left_out, self.overflow = raw["seen"], raw["left_out"], raw["overflow"]
        self.tally.rows, self.without_visible_partner = raw["read"], raw["without_visible_partner"]
        self.unread = Unread.from_json(raw["unread"])
        self.whole.resumed, self.whole.shortfall = True, raw["shortfall"]
        suspects = [Suspect.from_json(item) for item in raw["suspects"]]
        return {text_of(item.key): item for item in suspects}, raw["position"], raw["done"]

    # ---- judging ----

    async def judge(self, rows: Sequence[Row]) -> Judged:
        """Judge some records as they are now."""
        applies = self.proof.applies
        readable = [row for row in rows if not self._unreadable(row)]
        chosen = [row for row in readable if applies is None or applies(row)]
        self.seen += len(chosen) + len(rows) - len(readable)
        self.left_out += len(readable) - len(chosen)
        judged = Judged(present={text_of(key_of(self.source, row)) for row in rows})
        if not chosen:
            return judged
        partners = await self._partners(chosen)
        now = await self.clock()
        for row, found in zip(chosen, partners, strict=True):
            key = key_of(self.source, row)
            if found.unanswered:
                judged.silent[text_of(key)] = Suspect(key, "", now, silent=found.unanswered)
                continue
            if any(self._partner_unreadable(item) for item in found.rows):
                continue
            problem = self.proof.problem_of(row, found.rows)
            if problem is None:
                continue
            if found.perhaps_hidden:
                self.without_visible_partner += 1
                continue
            judged.candidates.append(Candidate(Suspect(key, self._digest(row, found.rows), now), row, problem))
        return judged

    def _unreadable(self, row: Row) -> bool:
        return not self.proof.any_values and self.unread.take(row, self._judged_columns(row))

    def _partner_unreadable(self, row: Row) -> bool:
        """A partner's values are not shown: which columns of it are sensitive depends on where it was found."""
        return not self.proof.any_values and self.unread.take(row, dict.fromkeys(row, False))

    def _judged_columns(self, row: Row) -> dict[str, bool]:
        """The columns that the judge or a filter reads, each with whether its values may be shown."""
        subject = self.proof.subject
        named = {*subject.columns, *(where.column for where in subject.where)}
        relation = self.context.profile.relations.get(subject.relation)
        return {
            name: relation is None or not relation.sensitive(name)
            for name in row
            if name in named or name not in self.source.key
        }

    def _digest(self, row: Row, partners: Sequence[Row]) -> str:
        # Keyed, because it is stored and may cover a phone number. Partners come in any order.
        both = json.dumps([facts_of(row), sorted(map(facts_of, partners))])
        return self.context.memory.fingerprint(self.context.check_id, both)

    async def _partners(self, rows: Sequence[Row]) -> list[Found]:
        if self.partners is None:
            return [Found() for _ in rows]
        here, convert = self.partners.column, self.partners.convert
        wanted = [None if row[here] is None else convert(row[here]) for row in rows]
        partners = await look_up(wanted, self.homes, self._agrees(here))
        for column, home in self.also:
            others = await look_up([row[column] for row in rows], [home], self._agrees(column))
            for found, further in zip(partners, others, strict=True):
                found.add(further)
        return partners

    def _agrees(self, column: str) -> Agrees:
        """Whether the subject's store, too, treats a value of `column` and a partner's as equal. A key of Redis or an id of
        OpenIM in capitals is another one, although `citext` or `uuid` does not distinguish them."""

        async def agrees(value: Any, there: Any) -> bool:
            known = (column, exact(there))
            if known not in self._equal:
                rows = await self.source.lookup(column, [there])
                self._equal[known] = {exact(row[column]) for row in rows if column in row}
            return exact(value) in self._equal[known]

        return agrees

    # ---- second pass ----

    async def second_pass(self, suspects: Suspects) -> tuple[list[tuple[Candidate, datetime]], Suspects]:
        """Judge the suspects again until each one is confirmed, healed, or was judged `PASSES_MAX` times.

        Returns the confirmed ones as they are now, each with the time of its first pass, and those that remain.
        """
        confirmed: list[tuple[Candidate, datetime]] = []
        before = self.seen, self.left_out, self.without_visible_partner, self.unread
        self.unread = Unread()
        for _ in range(PASSES_MAX):
            if not suspects:
                break
            self.context.progress(0, len(suspects), "suspects, waiting for the second pass")
            await self.context.settle(self.clock, self.proof.second_pass_s)
            suspects = await self._pass(suspects, confirmed)
        self.seen, self.left_out, self.without_visible_partner, self.unread = before
        return confirmed, suspects

    async def _pass(self, suspects: Suspects, confirmed: list[tuple[Candidate, datetime]]) -> Suspects:
        """Judge the suspects once more; add the confirmed ones, and return those that must be judged again."""
        judged = await self.judge(await self.again.look_up(_keys(suspects)))
        unanswered = set(self.again.silent)
        vanished = [
            key
            for key, item in suspects.items()
            if key not in judged.present and key not in unanswered and not item.findable
        ]
        if vanished and self._may_read_again:
            judged.join(await self.judge(await self.again.read_again(vanished)))
            vanished = []
        self.lost += len(vanished)
        candidates, remaining = judged.by_key(), {}
        for key, suspect in suspects.items():
            now = candidates.get(key, [])
            if key in unanswered:
                remaining[key] = replace(suspect, silent=suspect.silent or self.source.label)
            elif same := next((item for item in now if item.suspect.facts == suspect.facts), None):
                confirmed.append((same, suspect.first_seen_at))
            elif now:
                remaining[key] = later(suspect, now[0].suspect)
            elif key in judged.silent:
                remaining[key] = replace(suspect, silent=judged.silent[key].silent)
            elif key not in vanished and self.open_findings is not None:
                self.open_findings.forget({self._raw_key(suspect)})
        return remaining

    @property
    def _may_read_again(self) -> bool:
        return not self.proof.remembers and self.tally.rows <= REREAD_MAX

    # ---- findings ----

    def finding(self, candidate: Candidate, first_seen_at: datetime) -> Finding:
        """The finding of a confirmed suspect."""
        return self.context.finding(
            candidate.problem,
            key=self._shown(candidate.row),
            raw_key=self._raw_key(candidate.suspect),
            first_seen_at=first_seen_at,
            confirmed_at=candidate.suspect.first_seen_at,
            evidence={"read from": self.source.label}
            | ({"compared with": " or ".join(home.source.label for home in self.homes)} if self.homes else {}),
        )

    def _raw_key(self, suspect: Suspect) -> str:
        return self.context.raw_key(*text_of(suspect.key))

    def _shown(self, row: Row) -> str:
        """A record's key for display."""
        relation = self.context.profile.relations.get(self.proof.subject.relation)
        return " / ".join(
            "‹hidden›" if relation and relation.sensitive(name) else str(key_text(row[name]))
            for name in self.source.key
        )


def _keys(suspects: Suspects) -> Iterable[tuple[Any, ...]]:
    return [item.key for item in suspects.values()]
