"""The history of one stack: what was judged, what was found, what is remembered for the next comparison."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from verifier.finding import Finding
from verifier.history.codec import dump_finding, dump_outcome, load_outcome
from verifier.history.database import MEMORY, Database, open_database
from verifier.history.errors import AmbiguousFingerprint, HistoryError
from verifier.history.ledger import heal, note_findings, stored
from verifier.history.locks import Holder, StackLock
from verifier.history.records import (
    Changes,
    FindingState,
    RunKind,
    RunState,
    RunSummary,
    StoredFinding,
    StoredWatermark,
)
from verifier.history.tables import FINDINGS, HORIZONS, OUTCOMES, RUNS, WATERMARKS
from verifier.history.upkeep import prune, put_horizon, put_watermark
from verifier.render.redact import clean
from verifier.verdict import Outcome, RunResult, Verdict

FINGERPRINT_CHARS = 16

_HEX = re.compile(r"[0-9a-f]{1,16}\Z")


class History:
    """One stack's part of a history database. Synchronous; every method may raise HistoryError.

    Recording happens under the lock: `with history.lock(): history.begin(…); history.commit_check(…); history.finish(…)`.
    """

    def __init__(self, database: Database, stack: str) -> None:
        self._database = database
        self._lock = StackLock(database, stack)
        self._run: tuple[str, RunKind] | None = None
        self.stack = stack

    @classmethod
    def open(cls, url_or_path: str = MEMORY, *, stack: str) -> Self:
        """Open or create: a file path (SQLite), a `postgresql://` URL, or `memory:`. Raises HistoryError.

        A new file is readable by its owner alone. `stack` is the identity that the history is keyed by.
        """
        return cls(open_database(url_or_path), stack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up all connections."""
        self._database.engine.dispose()

    @property
    def name(self) -> str:
        """Where the history lives, without a password."""
        return self._database.name

    @contextmanager
    def lock(self) -> Iterator[Holder | None]:
        """Keep every other run of this stack out; yields who died holding the lock, if somebody did. Raises HistoryBusy."""
        with self._lock.hold() as left_behind:
            with self._database.write() as connection:
                connection.execute(
                    update(RUNS)
                    .where(RUNS.c.stack == self.stack, RUNS.c.state == RunState.RUNNING.value)
                    .values(state=RunState.INTERRUPTED.value)
                )
            try:
                yield left_behind
            finally:
                self._run = None

    def fingerprint(self, check_id: str, raw_key: str) -> str:
        """The stable name of a breach: a keyed hash, 16 hexadecimal characters, that gives nothing of the key away."""
        # Keys come from broken databases too: half surrogates must not stop the run.
        message = f"{check_id}\0{raw_key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._database.hmac_key, message, hashlib.sha256).hexdigest()[:FINGERPRINT_CHARS]

    # -- recording ---------------------------------------------------------------------------------------------------

    def begin(self, run_id: str, phase: str, started_at: datetime, *, kind: RunKind = RunKind.RUN) -> None:
        """Open a run. Until `finish`, it counts as running while the lock is held and as interrupted afterwards."""
        with self._database.write() as connection:
            self._lock.assert_held(connection)
            if connection.execute(select(RUNS.c.run_id).where(self._mine(RUNS), RUNS.c.run_id == run_id)).first():
                raise HistoryError(f"Run {run_id} is in the history already. Give every run an ID of its own.")
            connection.execute(
                insert(RUNS).values(
                    stack=self.stack,
                    run_id=run_id,
                    phase=phase,
                    kind=kind.value,
                    state=RunState.RUNNING.value,
                    started_at=started_at,
                )
            )
        self._run = (run_id, kind)

    def record(self, outcome: Outcome) -> Changes:
        """`commit_check` for a check that remembers nothing."""
        return self.commit_check(outcome, {})

    def commit_check(
        self,
        outcome: Outcome,
        watermarks: Mapping[str, Mapping[str, Any]],
        horizons: Sequence[tuple[str, datetime, str]] = (),
    ) -> Changes:
        """Everything about one check in one transaction: verdict, findings, watermarks by slot, horizons (slot, at, value).

        A what-if run leaves the verdict alone behind. Committing a check twice in one run replaces its verdict.
        """
        run_id, kind = self._current()
        document = dump_outcome(outcome)
        with self._database.write() as connection:
            self._lock.assert_held(connection)
            this = (self._mine(OUTCOMES), OUTCOMES.c.run_id == run_id)
            connection.execute(delete(OUTCOMES).where(*this, OUTCOMES.c.check_id == outcome.check_id))
            position = connection.execute(select(func.coalesce(func.max(OUTCOMES.c.position), 0)).where(*this)).scalar()
            connection.execute(
                insert(OUTCOMES).values(
                    stack=self.stack,
                    run_id=run_id,
                    check_id=outcome.check_id,
                    verdict=outcome.verdict.value,
                    position=(position or 0) + 1,
                    ended_at=outcome.ended_at,
                    document=document,
                )
            )
            if kind is RunKind.WHAT_IF:
                return Changes()
            changes = note_findings(
                connection,
                stack=self.stack,
                run_id=run_id,
                check_id=outcome.check_id,
                judgement=outcome.judgement,
                at=outcome.ended_at,
            )
            for slot, value in watermarks.items():
                put_watermark(connection, self.stack, outcome.check_id, slot, value, outcome.ended_at)
            for slot, at, horizon in horizons:
                put_horizon(connection, self.stack, slot, at, horizon)
        return changes

    def finish(self, result: RunResult) -> None:
        """Close the run; one that was cut short stays `interrupted`. Old runs are pruned."""
        run_id, _ = self._current()
        state = RunState.INTERRUPTED if result.interrupted else RunState.FINISHED
        with self._database.write() as connection:
            self._lock.assert_held(connection)
            connection.execute(
                update(RUNS)
                .where(self._mine(RUNS), RUNS.c.run_id == run_id)
                .values(
                    state=state.value,
                    ended_at=result.ended_at,
                    notes=[clean(note) for note in result.notes],
                    reads={clean(store): count for store, count in result.reads.items()},
                )
            )
            prune(connection, self.stack)
        self._run = None

    def rechecked(self, fingerprint: str, finding: Finding | None, at: datetime) -> None:
        """What a look at one finding alone has shown: its present form, or None if it is gone. Needs no run."""
        with self._database.write() as connection:
            if finding is None:
                heal(connection, self.stack, [fingerprint], at)
                return
            connection.execute(
                update(FINDINGS)
                .where(self._mine(FINDINGS), FINDINGS.c.fingerprint == fingerprint)
                .values(last_seen_at=at, document=dump_finding(finding))
            )

    # -- what was judged ---------------------------------------------------------------------------------------------

    def runs(self, limit: int = 100) -> list[RunSummary]:
        """The newest runs, newest first; numbers only, fit to be published."""
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
        """A stored run in full, for a report afterwards; what was not judged before it was cut short is missing."""
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

    # -- what was found ----------------------------------------------------------------------------------------------

    def findings(self, state: FindingState | None = None, check_id: str | None = None) -> list[StoredFinding]:
        """The remembered findings by check and first sighting; without `state` those that have not healed."""
        wanted = [state.value] if state else [FindingState.NEW.value, FindingState.PERSISTING.value]
        query = select(FINDINGS).where(self._mine(FINDINGS), FINDINGS.c.state.in_(wanted))
        if check_id:
            query = query.where(FINDINGS.c.check_id == check_id)
        query = query.order_by(FINDINGS.c.check_id, FINDINGS.c.first_seen_at, FINDINGS.c.fingerprint)
        with self._database.read() as connection:
            return [stored(row) for row in connection.execute(query)]

    def finding(self, fingerprint_prefix: str) -> StoredFinding | None:
        """The finding whose fingerprint starts so, or None. Raises AmbiguousFingerprint, HistoryError for a non-fingerprint."""
        prefix = fingerprint_prefix.strip().lower()
        if not _HEX.match(prefix):
            raise HistoryError(
                f"{clean(fingerprint_prefix)!r} is no fingerprint: it has up to {FINGERPRINT_CHARS} characters 0-9 a-f. "
                "See: verifier history"
            )
        query = select(FINDINGS).where(self._mine(FINDINGS), FINDINGS.c.fingerprint.startswith(prefix)).limit(6)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(FINDINGS.c.fingerprint)).all()
        if len(rows) > 1:
            shown = ", ".join(f"{row.fingerprint} ({row.check_id})" for row in rows[:5])
            more = " and others" if len(rows) > 5 else ""
            raise AmbiguousFingerprint(f"{prefix} fits several findings: {shown}{more}. Give more characters.")
        return stored(rows[0]) if rows else None

    # -- what is remembered ------------------------------------------------------------------------------------------

    def watermark(self, check_id: str, slot: str) -> dict[str, Any] | None:
        """What a check remembers of one object, or None at the first look."""
        query = select(WATERMARKS.c.value).where(
            self._mine(WATERMARKS), WATERMARKS.c.check_id == check_id, WATERMARKS.c.slot == slot
        )
        with self._database.read() as connection:
            value: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
        return value

    def watermarks(self) -> list[StoredWatermark]:
        """All of them, by check and slot."""
        query = select(WATERMARKS).where(self._mine(WATERMARKS)).order_by(WATERMARKS.c.check_id, WATERMARKS.c.slot)
        with self._database.read() as connection:
            return [
                StoredWatermark(check_id=row.check_id, slot=row.slot, taken_at=row.taken_at, value=row.value)
                for row in connection.execute(query)
            ]

    def forget_watermarks(self, check_ids: Sequence[str] | None = None) -> int:
        """Re-arm these checks (all without an argument): their next look is a first one. Returns how many were dropped."""
        query = delete(WATERMARKS).where(self._mine(WATERMARKS))
        if check_ids is not None:
            query = query.where(WATERMARKS.c.check_id.in_(list(check_ids)))
        with self._database.write() as connection:
            return connection.execute(query).rowcount

    def add_horizon(self, slot: str, at: datetime, value: str) -> None:
        """Remember where a store stood at a time; thinned out as it ages."""
        with self._database.write() as connection:
            put_horizon(connection, self.stack, slot, at, value)

    def horizons(self, slot: str) -> list[tuple[datetime, str]]:
        """(time, horizon) pairs, oldest first."""
        query = select(HORIZONS.c.at, HORIZONS.c.value).where(self._mine(HORIZONS), HORIZONS.c.slot == slot)
        with self._database.read() as connection:
            return [(row.at, row.value) for row in connection.execute(query.order_by(HORIZONS.c.at))]

    def forget_horizons(self, slot: str) -> None:
        """Drop an object's horizons: its store was restored or replaced, so they mean nothing any more."""
        with self._database.write() as connection:
            connection.execute(delete(HORIZONS).where(self._mine(HORIZONS), HORIZONS.c.slot == slot))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return table.c.stack == self.stack

    def _current(self) -> tuple[str, RunKind]:
        if self._run is None:
            raise HistoryError("No run is open: call begin() first, under `with history.lock():`.")
        return self._run


def _state(value: str, orphaned: bool) -> RunState:
    state = RunState(value)
    return RunState.INTERRUPTED if state is RunState.RUNNING and orphaned else state
