"""All judges over the column journals of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load.journal.reader import ColumnReader
from load.judging.backlog import backlog_of
from load.judging.delivery import judge_columns
from load.judging.groups import pairs_of
from load.judging.latency import in_ms, latencies
from load.judging.loading import load_run
from load.judging.naming import name_delivery, name_order
from load.judging.order import judge_order_columns
from load.judging.pushes import judge_pushes
from load.judging.receipts import judge_receipts
from load.judging.timeline import timeline
from load.results import BacklogResult
from verifier.judges.delivery import DeliveryReport
from verifier.judges.judgement import JournalJudgement


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The judgements; None for a judge whose events the journals do not contain."""

    delivery: DeliveryReport | None
    order: JournalJudgement | None
    pushes: JournalJudgement | None
    receipts: JournalJudgement | None
    notes: tuple[str, ...]
    latency_ms: dict[str, dict[str, float]]
    timeline: dict[str, Any]
    backlog: BacklogResult | None


def judge_run(
    paths: Sequence[Path], *, settle_s: float, quiet_s: float | None = None
) -> tuple[list[ColumnReader], Judged]:
    """Judge the journals of one run. Raises JournalError."""
    readers = [ColumnReader(path) for path in paths]
    run = load_run(readers)
    pairs = pairs_of(run)
    delivered = judge_columns(run, pairs, settle_s=settle_s, quiet_s=quiet_s)
    warm_up_s = max((reader.warm_up_s for reader in readers), default=0.0)
    ordered = judge_order_columns(run, pairs)
    del pairs  # the largest object here, and not needed any more
    pushed = judge_pushes(run, delivered, settle_s=settle_s, warm_up_s=warm_up_s) if delivered else None
    notes = [note for reader in readers for note in reader.notes]
    if run.unwritten:
        notes.append(
            f"{run.unwritten} messages were received whose sends are in no journal: their recorder was killed, or its journal "
            "is missing. They are not judged"
        )
    return readers, Judged(
        delivery=name_delivery(readers, run, delivered) if delivered else None,
        order=name_order(readers, run, ordered) if ordered else None,
        pushes=pushed.judgement(run) if pushed else None,
        receipts=judge_receipts(run, settle_s=settle_s),
        notes=tuple(notes),
        latency_ms=in_ms(latencies(run)),
        timeline=timeline(run, delivered) if delivered else {},
        backlog=backlog_of(run, delivered.lost[0]) if delivered else None,
    )
