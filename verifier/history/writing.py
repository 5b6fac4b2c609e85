"""Writes the history: under the lock of the stack, one transaction for each step, so that a killed run leaves no partial records."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, update

from verifier.history.codec import dump_finding, dump_outcome
from verifier.history.database import Database
from verifier.history.errors import HistoryError
from verifier.history.findings import heal, update_findings
from verifier.history.interrupted import (
    checkpoint,
    drop_checkpoints,
    interrupted_run,
    mark_resumed,
    put_checkpoint,
    put_plan,
)
from verifier.history.locks import Holder, StackLock
from verifier.history.records import Changes, InterruptedRun, RunKind, RunState
from verifier.history.retention import prune
from verifier.history.tables import FINDINGS, OUTCOMES, RUNS
from verifier.history.watermarks import put_position, put_watermark
from verifier.model.finding import Finding
from verifier.model.redact import clean
from verifier.model.verdict import Outcome, RunResult

FINGERPRINT_CHARS = 16


class HistoryWriter:
    """The methods of `History` that write: begin, commit_check, finish, resume, checkpoints, recheck."""

    def __init__(self, database: Database, stack: str) -> None:
        self._database = database
        self._lock = StackLock(database, stack)
        self._run: tuple[str, RunKind] | None = None
        self.stack = stack

    @contextmanager
    def lock(self) -> Iterator[Holder | None]:
        """Hold the lock of the stack; yields the previous holder if it ended without releasing it. Raises HistoryBusy."""
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
        """The stable ID of a breach: an HMAC of check and key, 16 hexadecimal characters. It does not reveal the key."""
        # A key may hold lone surrogates, which plain UTF-8 encoding rejects.
        message = f"{check_id}\0{raw_key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._database.hmac_key, message, hashlib.sha256).hexdigest()[:FINGERPRINT_CHARS]

    # -- recording ---------------------------------------------------------------------------------------------------

    def begin(
        self,
        run_id: str,
        phase: str,
        started_at: datetime,
        *,
        kind: RunKind = RunKind.RUN,
        plan: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a run. Until `finish`, its state is running while the lock is held, and interrupted afterwards.

        With a `plan` (JSON, see `engine.resume.plan_document`) the run can be resumed. Earlier interrupted runs no longer can.
        """
        with self._database.write() as connection:
            self._lock.assert_held(connection)
            if connection.execute(select(RUNS.c.run_id).where(self._mine(RUNS), RUNS.c.run_id == run_id)).first():
                raise HistoryError(f"Run {run_id} is already in the history. Give every run a new ID.")
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
            if kind is not RunKind.WHAT_IF:
                put_plan(connection, self.stack, run_id, plan)
        self._run = (run_id, kind)

    def interrupted_run(self) -> InterruptedRun | None:
        """The newest run, if it was interrupted and can be resumed, else None. Call it while holding the lock."""
        with self._database.read() as connection:
            return interrupted_run(connection, self.stack)

    def resume(self, run_id: str) -> None:
        """Continue an interrupted run: its verdicts and checkpoints are kept."""
        with self._database.write() as connection:
            self._lock.assert_held(connection)
            mark_resumed(connection, self.stack, run_id)
        self._run = (run_id, RunKind.RUN)

    def checkpoint(self, check_id: str, slot: str) -> dict[str, Any] | None:
        """The checkpoint that a walk saved before its run was interrupted, or None."""
        run_id, _ = self._current()
        with self._database.read() as connection:
            return checkpoint(connection, self.stack, run_id, check_id, slot)

    def save_checkpoint(
        self, check_id: str, slot: str, value: Mapping[str, Any], *, reads: Mapping[str, int] | None = None
    ) -> None:
        """Save how far a walk has come, and the reads of each store so far. Deleted as soon as its check is judged."""
        run_id, _ = self._current()
        with self._database.write() as connection:
            self._lock.assert_held(connection)
            put_checkpoint(connection, self.stack, run_id, check_id, slot, value, datetime.now(UTC))
            if reads is not None:
                self._put_reads(connection, run_id, reads)

    def _put_reads(self, connection: Connection, run_id: str, reads: Mapping[str, int]) -> None:
        connection.execute(
            update(RUNS)
            .where(self._mine(RUNS), RUNS.c.run_id == run_id)
            .values(reads={clean(store): count for store, count in reads.items()})
        )

    def record(self, outcome: Outcome) -> Changes:
        """`commit_check` for a check without watermarks."""
        return self.commit_check(outcome, {})

    def commit_check(
        self,
        outcome: Outcome,
        watermarks: Mapping[str, Mapping[str, Any]],
        positions: Sequence[tuple[str, datetime, str]] = (),
        *,
        reads: Mapping[str, int] | None = None,
    ) -> Changes:
        """Commit one check in one transaction: verdict, findings, watermarks by slot, positions (slot, at, value).

        `reads` is the number of statements, commands and requests sent to each store so far; a killed run keeps it.
        A what-if run commits only the verdict. Committing a check twice in one run replaces its verdict.
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
            drop_checkpoints(connection, self.stack, run_id, outcome.check_id)
            if reads is not None:
                self._put_reads(connection, run_id, reads)
            if kind is RunKind.WHAT_IF:
                return Changes()
            changes = update_findings(
                connection,
                stack=self.stack,
                run_id=run_id,
                check_id=outcome.check_id,
                judgement=outcome.judgement,
                at=outcome.ended_at,
            )
            for slot, value in watermarks.items():
                put_watermark(connection, self.stack, outcome.check_id, slot, value, outcome.ended_at)
            for slot, at, position in positions:
                put_position(connection, self.stack, slot, at, position)
        return changes

    def finish(self, result: RunResult) -> None:
        """End the run and prune old runs. The state of an interrupted result is `interrupted`."""
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
            if not result.interrupted:
                drop_checkpoints(connection, self.stack, run_id)
            prune(connection, self.stack)
        self._run = None

    def rechecked(self, fingerprint: str, finding: Finding | None, at: datetime) -> None:
        """Record a recheck of one finding: the finding as it is now, or None if it has healed. Needs no open run."""
        with self._database.write() as connection:
            if finding is None:
                heal(connection, self.stack, [fingerprint], at)
                return
            connection.execute(
                update(FINDINGS)
                .where(self._mine(FINDINGS), FINDINGS.c.fingerprint == fingerprint)
                .values(last_seen_at=at, document=dump_finding(finding))
            )

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return table.c.stack == self.stack

    def _current(self) -> tuple[str, RunKind]:
        if self._run is None:
            raise HistoryError("No run is open: call begin() first, under `with history.lock():`.")
        return self._run
