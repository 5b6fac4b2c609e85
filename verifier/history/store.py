"""The history of one stack: runs, findings, accepted checks, watermarks and positions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import delete, func, insert, select

from verifier.history.codec import load_outcome
from verifier.history.database import MEMORY, open_database
from verifier.history.errors import AmbiguousFingerprint, HistoryError
from verifier.history.findings import stored
from verifier.history.records import (
    FindingState,
    RunKind,
    RunState,
    RunSummary,
    StoredFinding,
    StoredWatermark,
)
from verifier.history.tables import ACCEPTED, FINDINGS, OUTCOMES, POSITIONS, RUNS, WATERMARKS
from verifier.history.watermarks import put_position
from verifier.history.writing import FINGERPRINT_CHARS, HistoryWriter
from verifier.model.redact import clean
from verifier.model.verdict import RunResult, Verdict

_HEX = re.compile(r"[0-9a-f]{1,16}\Z")


class History(HistoryWriter):
    """The history of one stack in a history database. Synchronous; every method may raise HistoryError.

    A run is recorded under the lock: `with history.lock(): history.begin(…); history.commit_check(…); history.finish(…)`.
    """

    @classmethod
    def open(cls, url_or_path: str = MEMORY, *, stack: str) -> Self:
        """Open or create a history: a file path (SQLite), a `postgresql://` URL, or `memory:`. Raises HistoryError.

        A new file is readable only by its owner. `stack` is the name under which everything is stored.
        """
        return cls(open_database(url_or_path), stack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._database.engine.dispose()

    @property
    def name(self) -> str:
        """The path or URL of the history, without a password."""
        return self._database.name

    # -- runs ----------------------------------------------------------------------------------------------

    def runs(self, limit: int = 100) -> list[RunSummary]:
        """Summaries of the newest runs, newest first. They hold numbers only."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(RUNS)
                .where(self._mine(RUNS))
                .order_by(RUNS.c.started_at.desc(), RUNS.c.run_id.desc())
                .limit(limit)
            ).all()
            counts: dict[str, dict[Verdict, int]] = {row.run_id: {} for row in rows}
            last: dict[str, datetime] = {}
            query = (
                select(OUTCOMES.c.run_id, OUTCOMES.c.verdict, func.count(), func.max(OUTCOMES.c.ended_at))
                .where(self._mine(OUTCOMES), OUTCOMES.c.run_id.in_(list(counts)))
                .group_by(OUTCOMES.c.run_id, OUTCOMES.c.verdict)
            )
            for run_id, verdict, count, ended_at in connection.execute(query):
                counts[run_id][Verdict(verdict)] = count
                last[run_id] = max(ended_at, last.get(run_id, ended_at))
        orphaned = any(row.state == RunState.RUNNING.value for row in rows) and self._lock.is_free()
        return [
            RunSummary(
                run_id=row.run_id,
                stack=row.stack,
                phase=row.phase,
                kind=RunKind(row.kind),
                state=_state(row.state, orphaned),
                started_at=row.started_at,
                ended_at=row.ended_at or last.get(row.run_id, row.started_at),
                counts=counts[row.run_id],
            )
            for row in rows
        ]

    def result(self, run_id: str) -> RunResult | None:
        """A stored run with all outcomes, or None. Of an interrupted run, checks that were not judged are missing."""
        with self._database.read() as connection:
            run = connection.execute(select(RUNS).where(self._mine(RUNS), RUNS.c.run_id == run_id)).one_or_none()
            if run is None:
                return None
            rows = connection.execute(
                select(OUTCOMES.c.document)
                .where(self._mine(OUTCOMES), OUTCOMES.c.run_id == run_id)
                .order_by(OUTCOMES.c.position)
            ).scalars()
            outcomes = tuple(load_outcome(document) for document in rows)
        return RunResult(
            run_id=run.run_id,
            stack=run.stack,
            phase=run.phase,
            started_at=run.started_at,
            ended_at=run.ended_at or max((item.ended_at for item in outcomes), default=run.started_at),
            outcomes=outcomes,
            notes=tuple(run.notes),
            interrupted=run.state != RunState.FINISHED.value,
            reads=dict(run.reads),
        )

    # -- findings -----------------------------------------------------------------------------------------------

    def findings(self, state: FindingState | None = None, check_id: str | None = None) -> list[StoredFinding]:
        """Stored findings, sorted by check and time of first occurrence; without `state`, those that have not healed."""
        wanted = [state.value] if state else [FindingState.NEW.value, FindingState.PERSISTING.value]
        query = select(FINDINGS).where(self._mine(FINDINGS), FINDINGS.c.state.in_(wanted))
        if check_id:
            query = query.where(FINDINGS.c.check_id == check_id)
        query = query.order_by(FINDINGS.c.check_id, FINDINGS.c.first_seen_at, FINDINGS.c.fingerprint)
        with self._database.read() as connection:
            return [stored(row) for row in connection.execute(query)]

    def finding(self, fingerprint_prefix: str) -> StoredFinding | None:
        """The finding whose fingerprint starts with the prefix, or None.

        Raises AmbiguousFingerprint for several matches, HistoryError for text that is not a fingerprint.
        """
        prefix = fingerprint_prefix.strip().lower()
        if not _HEX.match(prefix):
            raise HistoryError(
                f"{clean(fingerprint_prefix)!r} is not a fingerprint: a fingerprint has up to {FINGERPRINT_CHARS} characters 0-9 a-f. "
                "See: verifier history"
            )
        query = select(FINDINGS).where(self._mine(FINDINGS), FINDINGS.c.fingerprint.startswith(prefix)).limit(6)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(FINDINGS.c.fingerprint)).all()
        if len(rows) > 1:
            shown = ", ".join(f"{row.fingerprint} ({row.check_id})" for row in rows[:5])
            more = " and others" if len(rows) > 5 else ""
            raise AmbiguousFingerprint(f"{prefix} matches several findings: {shown}{more}. Give more characters.")
        return stored(rows[0]) if rows else None

    def healed_since(self, moment: datetime) -> list[StoredFinding]:
        """Findings that have healed since `moment`, usually the start of a run."""
        query = select(FINDINGS).where(
            self._mine(FINDINGS), FINDINGS.c.state == FindingState.HEALED.value, FINDINGS.c.healed_at >= moment
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(FINDINGS.c.check_id, FINDINGS.c.fingerprint)).all()
        return [stored(row) for row in rows]

    # -- accepted checks -------------------------------------------------------------------------------------------

    def accepted(self) -> frozenset[str]:
        """IDs of the checks that the stack has accepted; other checks are pending. Empty before the first run."""
        with self._database.read() as connection:
            found = connection.execute(select(ACCEPTED.c.check_id).where(self._mine(ACCEPTED))).scalars()
            return frozenset(found)

    def accept(self, check_ids: Iterable[str]) -> tuple[str, ...]:
        """Accept these checks; return those that were not accepted before."""
        at = datetime.now(UTC)
        with self._database.write() as connection:
            known = set(connection.execute(select(ACCEPTED.c.check_id).where(self._mine(ACCEPTED))).scalars())
            new = tuple(sorted(set(check_ids) - known))
            if new:
                rows = [{"stack": self.stack, "check_id": name, "at": at} for name in new]
                connection.execute(insert(ACCEPTED), rows)
        return new

    def judged_ever(self) -> frozenset[str]:
        """IDs of the checks that any stored run has judged."""
        query = select(OUTCOMES.c.check_id).where(self._mine(OUTCOMES)).distinct()
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    # -- watermarks and positions ------------------------------------------------------------------------------------------

    def watermark(self, check_id: str, slot: str) -> dict[str, Any] | None:
        """The watermark of one check and object, or None before the first baseline."""
        query = select(WATERMARKS.c.value).where(
            self._mine(WATERMARKS), WATERMARKS.c.check_id == check_id, WATERMARKS.c.slot == slot
        )
        with self._database.read() as connection:
            value: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
        return value

    def watermarks(self) -> list[StoredWatermark]:
        """All watermarks, sorted by check and slot."""
        query = select(WATERMARKS).where(self._mine(WATERMARKS)).order_by(WATERMARKS.c.check_id, WATERMARKS.c.slot)
        with self._database.read() as connection:
            return [
                StoredWatermark(check_id=row.check_id, slot=row.slot, taken_at=row.taken_at, value=row.value)
                for row in connection.execute(query)
            ]

    def forget_watermarks(self, check_ids: Sequence[str] | None = None) -> int:
        """Delete the watermarks of these checks (without an argument: of all), so that the next run takes new baselines.

        Returns how many were deleted.
        """
        query = delete(WATERMARKS).where(self._mine(WATERMARKS))
        if check_ids is not None:
            query = query.where(WATERMARKS.c.check_id.in_(list(check_ids)))
        with self._database.write() as connection:
            return connection.execute(query).rowcount

    def add_position(self, slot: str, at: datetime, value: str) -> None:
        """Store the position of an object at a time; old positions are thinned out."""
        with self._database.write() as connection:
            put_position(connection, self.stack, slot, at, value)

    def positions(self, slot: str) -> list[tuple[datetime, str]]:
        """(time, position) pairs of an object, oldest first."""
        query = select(POSITIONS.c.at, POSITIONS.c.value).where(self._mine(POSITIONS), POSITIONS.c.slot == slot)
        with self._database.read() as connection:
            return [(row.at, row.value) for row in connection.execute(query.order_by(POSITIONS.c.at))]

    def forget_positions(self, slot: str) -> None:
        """Delete the positions of an object, for example because its store was restored or replaced."""
        with self._database.write() as connection:
            connection.execute(delete(POSITIONS).where(self._mine(POSITIONS), POSITIONS.c.slot == slot))


def _state(value: str, orphaned: bool) -> RunState:
    state = RunState(value)
    return RunState.INTERRUPTED if state is RunState.RUNNING and orphaned else state
