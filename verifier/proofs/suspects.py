"""Suspects: what a walk knows of a record between its first and its second pass."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from verifier.model.invariant import Problem, Row
from verifier.model.values import Unreadable
from verifier.proofs.again import Key, KeyText, text_of

VOLATILE_COLUMNS = frozenset({"ttl_ms", "idle_s"})
"""Columns that change by themselves. They do not count as a change of a suspect."""
REASONS_MAX = 50


@dataclass(frozen=True, slots=True)
class Suspect:
    """A record that must be judged again.

    `facts` is a keyed digest of both sides, enough to see whether they changed; "" while a store has not answered for a
    partner. `findable`: a look-up by the key found the record, so that a later look-up that does not find it proves it gone.
    `silent`: why the last look was not answered, "" if it was.
    """

    key: Key
    facts: str
    first_seen_at: datetime
    findable: bool = False
    silent: str = ""

    def to_json(self) -> list[Any]:
        """For a checkpoint. The key becomes text."""
        return [list(text_of(self.key)), self.facts, self.first_seen_at.isoformat(), self.findable, self.silent]

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> Suspect:
        """Inverse of `to_json`."""
        return cls(tuple(raw[0]), raw[1], datetime.fromisoformat(raw[2]), raw[3], raw[4])


Suspects = dict[KeyText, Suspect]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A suspect together with the record and what is wrong with it now."""

    suspect: Suspect
    row: Row
    problem: Problem


@dataclass(slots=True)
class Judged:
    """What came out of judging some records: those with a problem, and those about which a store was silent."""

    candidates: list[Candidate] = field(default_factory=list)
    silent: Suspects = field(default_factory=dict)
    present: set[KeyText] = field(default_factory=set)

    def by_key(self) -> dict[KeyText, list[Candidate]]:
        """The candidates by key. Several records may have one key."""
        found: dict[KeyText, list[Candidate]] = {}
        for item in self.candidates:
            found.setdefault(text_of(item.suspect.key), []).append(item)
        return found

    def join(self, other: Judged) -> None:
        """Add what came out of judging further records."""
        self.candidates += other.candidates
        self.silent |= other.silent
        self.present |= other.present


@dataclass(slots=True)
class Unread:
    """Records with values that are not of their column's type: how many, and why, with an example."""

    records: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def take(self, row: Row, columns: Mapping[str, bool]) -> bool:
        """Whether one of `columns` (each with: may its values be shown?) of a record cannot be read; if so, count it."""
        bad = [(name, value) for name in columns if isinstance(value := row.get(name), Unreadable)]
        if not bad:
            return False
        self.records += 1
        for name, value in bad:
            example = f" {str(value)[:40]!r}" if columns[name] else ""
            reason = f"{name}{example}: {value.why}"
            if reason in self.reasons or len(self.reasons) < REASONS_MAX:
                self.reasons[reason] += 1
        return True

    def to_json(self) -> list[Any]:
        """For a checkpoint."""
        return [self.records, dict(self.reasons)]

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> Unread:
        """Inverse of `to_json`."""
        return cls(raw[0], Counter(raw[1]))

    def text(self, seen: int, unit: str) -> str:
        """For the reason of a verdict."""
        shown = "; ".join(reason for reason, _ in self.reasons.most_common(3))
        return f"{self.records} of {seen} {unit} have values that cannot be read ({shown})"


def facts_of(row: Row) -> str:
    """A record as text, without what changes by itself."""
    kept = {name: value for name, value in row.items() if name not in VOLATILE_COLUMNS}
    return json.dumps(kept, sort_keys=True, default=str)


def later(suspect: Suspect, now: Suspect) -> Suspect:
    """A suspect that has changed: as it is now, first seen when it was."""
    return replace(now, first_seen_at=suspect.first_seen_at, findable=suspect.findable or now.findable)
