"""What the verifier sent to a store: each statement, command or request in normal form, with counts, rows and time."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from datetime import UTC, datetime

from verifier.model.footprint import Footprint, Statement


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Line:
    """One statement in normal form. `rows`: rows received; `time_s`: the sum of all answer times; `slowest_s`: the longest
    one."""

    sent: int = 0
    answers: int = 0
    failed: int = 0
    rows: int = 0
    time_s: float = 0.0
    slowest_s: float = 0.0
    first_at: datetime = field(default_factory=_now)
    last_at: datetime = field(default_factory=_now)


@dataclass(slots=True)
class StatementLog:
    """What one run sent to one store (META-01, `--audit`).

    `reads`: statements sent, by kind. `refused`: statements that the allow-list refused. `lines`: one entry per statement in
    normal form, which has no parameters, keys or ids: a thousand look-ups are one entry.
    """

    reads: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: int = 0
    lines: dict[str, Line] = field(default_factory=dict)
    paced: int = 0
    """Round trips that count towards the budget's rate."""
    in_flight: int = 0
    in_flight_max: int = 0
    waited_s: float = 0.0
    """Time that statements waited to keep the budget."""
    backed_off: int = 0
    """Number of back-off pauses after slow or failed answers."""

    def note(self, what: str, statement: str | None = None, *, count: int = 1) -> None:
        """Count statements that are about to be sent. `what`: their kind; `statement`: their normal form, by default the
        kind."""
        self.reads[what] += count
        line = self.lines.setdefault(normal_form(statement or what), Line())
        line.sent += count
        line.last_at = _now()

    def answered(self, statement: str, *, took_s: float, rows: int = 0, failed: bool = False) -> None:
        """Count an answer. `took_s`: the time in seconds until it came."""
        line = self.lines.setdefault(normal_form(statement), Line())
        line.answers += 1
        line.failed += failed
        line.rows += rows
        line.time_s += took_s
        line.slowest_s = max(line.slowest_s, took_s)
        line.last_at = _now()

    @property
    def total(self) -> int:
        """Statements sent."""
        return sum(self.reads.values())

    @property
    def rows(self) -> int:
        """Rows received."""
        return sum(line.rows for line in self.lines.values())


def normal_form(statement: str) -> str:
    """The statement on one line, with one blank between words."""
    return " ".join(statement.split())


def sum_up(statement_log: StatementLog | None, *, sent: int) -> Footprint:
    """The log as numbers for the report, the statement with the longest total time first. `sent` includes the first part of
    a resumed run."""
    if statement_log is None:
        return Footprint(sent=sent)
    lines = sorted(statement_log.lines.items(), key=lambda item: (-item[1].time_s, item[0]))
    return Footprint(
        sent=sent,
        refused=statement_log.refused,
        rows=statement_log.rows,
        time_s=round(sum(line.time_s for line in statement_log.lines.values()), 4),
        in_flight_max=statement_log.in_flight_max,
        waited_s=round(statement_log.waited_s, 3),
        rests=statement_log.backed_off,
        statements=tuple(
            Statement(
                statement=text,
                sent=line.sent,
                rows=line.rows,
                time_s=round(line.time_s, 4),
                slowest_s=round(line.slowest_s, 4),
                failed=line.failed,
                first_at=line.first_at,
                last_at=line.last_at,
            )
            for text, line in lines
        ),
    )
