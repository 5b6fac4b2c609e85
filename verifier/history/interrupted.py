"""What an interrupted run needs to be resumed: its plan, and a checkpoint of each walk.

A checkpoint is a dictionary of a few kilobytes: the position of a walk, its counts, and its suspects as keyed digests. Of
the stack it holds keys, but no values. It is deleted when its check is judged, and when a new run starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from verifier.history.records import InterruptedRun, RunKind, RunState
from verifier.history.tables import CHECKPOINTS, OUTCOMES, RUN_PLANS, RUNS


def put_plan(connection: Connection, stack: str, run_id: str, plan: Mapping[str, Any] | None) -> None:
    """Store the plan of a run (None: it cannot be resumed), and delete plans and checkpoints of earlier runs."""
    connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.stack == stack))
    connection.execute(delete(RUN_PLANS).where(RUN_PLANS.c.stack == stack))
    if plan is not None:
        connection.execute(insert(RUN_PLANS).values(stack=stack, run_id=run_id, plan=dict(plan), resumed=0))


def interrupted_run(connection: Connection, stack: str) -> InterruptedRun | None:
    """The newest run of a stack, if it was interrupted and can be resumed, else None."""
    real = (RUNS.c.stack == stack, RUNS.c.kind != RunKind.WHAT_IF.value)
    newest = select(RUNS).where(*real).order_by(RUNS.c.started_at.desc(), RUNS.c.run_id.desc()).limit(1)
    run = connection.execute(newest).one_or_none()
    if run is None or run.state != RunState.INTERRUPTED.value or run.kind != RunKind.RUN.value:
        return None
    mine = (RUN_PLANS.c.stack == stack, RUN_PLANS.c.run_id == run.run_id)
    plan = connection.execute(select(RUN_PLANS).where(*mine)).one_or_none()
    if plan is None:
        return None
    judged = (OUTCOMES.c.stack == stack, OUTCOMES.c.run_id == run.run_id)
    count, last_outcome = connection.execute(select(func.count(), func.max(OUTCOMES.c.ended_at)).where(*judged)).one()
    last_checkpoint = connection.execute(
        select(func.max(CHECKPOINTS.c.at)).where(CHECKPOINTS.c.stack == stack, CHECKPOINTS.c.run_id == run.run_id)
    ).scalar()
    return InterruptedRun(
        run_id=run.run_id,
        phase=run.phase,
        started_at=run.started_at,
        last_at=max(at for at in (run.started_at, last_outcome, last_checkpoint) if at is not None),
        plan=plan.plan,
        resumed=plan.resumed,
        judged=count,
    )


def mark_resumed(connection: Connection, stack: str, run_id: str) -> None:
    """Set an interrupted run to running, and count the resume."""
    connection.execute(
        update(RUNS)
        .where(RUNS.c.stack == stack, RUNS.c.run_id == run_id)
        .values(state=RunState.RUNNING.value, ended_at=None)
    )
    connection.execute(
        update(RUN_PLANS)
        .where(RUN_PLANS.c.stack == stack, RUN_PLANS.c.run_id == run_id)
        .values(resumed=RUN_PLANS.c.resumed + 1)
    )


def put_checkpoint(
    connection: Connection, stack: str, run_id: str, check_id: str, slot: str, value: Mapping[str, Any], at: datetime
) -> None:
    """Replace the checkpoint of one walk."""
    columns = CHECKPOINTS.c
    connection.execute(
        delete(CHECKPOINTS).where(
            columns.stack == stack, columns.run_id == run_id, columns.check_id == check_id, columns.slot == slot
        )
    )
    connection.execute(
        insert(CHECKPOINTS).values(stack=stack, run_id=run_id, check_id=check_id, slot=slot, at=at, value=dict(value))
    )


def checkpoint(connection: Connection, stack: str, run_id: str, check_id: str, slot: str) -> dict[str, Any] | None:
    """The checkpoint of a walk of this run, or None."""
    columns = CHECKPOINTS.c
    value: dict[str, Any] | None = connection.execute(
        select(columns.value).where(
            columns.stack == stack, columns.run_id == run_id, columns.check_id == check_id, columns.slot == slot
        )
    ).scalar_one_or_none()
    return value


def drop_checkpoints(connection: Connection, stack: str, run_id: str, check_id: str | None = None) -> None:
    """Delete the checkpoints of one check, or without `check_id` those of the whole run."""
    columns = CHECKPOINTS.c
    mine = [columns.stack == stack, columns.run_id == run_id]
    if check_id is not None:
        mine.append(columns.check_id == check_id)
    connection.execute(delete(CHECKPOINTS).where(*mine))
