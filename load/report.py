"""The report of a run: its journals are judged, and the result is shown as text and JSON with an exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from load.journal.reader import ColumnReader, is_columns
from load.judging.account import judge_run
from load.post_run_checks import PostRunVerdict
from load.results import BacklogResult, LoadResult
from verifier.judges.delivery import DeliveryReport, DeliveryTally, judge_delivery
from verifier.judges.journal import Header, JournalError
from verifier.judges.journal_reader import JournalReader, merged
from verifier.judges.judgement import JournalJudgement
from verifier.judges.order import judge_order
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode, Verdict

_SHOWN = 10
_RECEIVERS_MAX = 1000
CLOCK_ERROR_MAX_NS = 100_000_000
_EXIT = {Verdict.HOLDS: ExitCode.HOLDS, Verdict.VIOLATED: ExitCode.VIOLATED}


@dataclass(frozen=True, kw_only=True)
class Account:
    """The result of a run. `delivery` is None where nothing was sent and nothing received.

    `warnings` say why rates and latencies are unreliable, or which part of the run is not known. They never hide a loss.
    """

    header: Header
    ended_at: datetime
    delivery: DeliveryReport | None
    order: JournalJudgement | None
    notes: tuple[str, ...]
    pushes: JournalJudgement | None = None
    receipts: JournalJudgement | None = None
    warnings: tuple[str, ...] = ()
    latency_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    timeline: Mapping[str, Any] = field(default_factory=dict)
    backlog: BacklogResult | None = None
    generator: str = ""
    after: PostRunVerdict | None = None

    @property
    def judgements(self) -> dict[str, JournalJudgement]:
        """The judgements by name, those alone that there are."""
        found = {
            "delivery": self.delivery.judgement if self.delivery else None,
            "order": self.order,
            "pushes": self.pushes,
            "receipts": self.receipts,
        }
        return {name: judgement for name, judgement in found.items() if judgement is not None}

    @property
    def exit_code(self) -> ExitCode:
        """As the verifier's: 0 all accounted for, 1 violated, 2 inconclusive."""
        verdicts = {judgement.verdict for judgement in self.judgements.values()}
        after = self.after.exit_code if self.after else ExitCode.HOLDS
        if Verdict.VIOLATED in verdicts or after is ExitCode.VIOLATED:
            return ExitCode.VIOLATED
        if self.delivery is None or self.warnings or after is not ExitCode.HOLDS:
            return ExitCode.INCONCLUSIVE
        if self.receipts is not None and self.receipts.verdict is not Verdict.HOLDS:
            return ExitCode.INCONCLUSIVE
        return _EXIT.get(self.delivery.judgement.verdict, ExitCode.INCONCLUSIVE)

    @property
    def _headline(self) -> str:
        alone = replace(self, after=None).exit_code
        if alone is self.exit_code:
            return _HEADLINE[alone]
        what = (
            "the stack does not hold" if self.exit_code is ExitCode.VIOLATED else "not every check of the stack holds"
        )
        return f"{_HEADLINE[alone]}, but {what} after the load"

    def to_json(self) -> dict[str, Any]:
        """The account as JSON; see `load.results.LoadResult`."""
        document = {
            "run_id": self.header.run_id,
            "stack": clean(self.header.stack),
            "started_at": self.header.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "exit_code": int(self.exit_code),
            "delivery": _delivery_json(self.delivery) if self.delivery else None,
            "judgements": {name: _judgement_json(item) for name, item in self.judgements.items()},
            "notes": list(self.notes),
            # The key is that of format 1.
            "doubts": list(self.warnings),
            "latency_ms": {name: dict(found) for name, found in self.latency_ms.items()},
            "timeline": dict(self.timeline),
            "backlog": self.backlog,
            "generator": self.generator,
            "after": self.after.to_json() if self.after else None,
        }
        return LoadResult.model_validate(document).model_dump(mode="json")

    def to_text(self) -> str:
        """A short summary for a terminal."""
        lines = [f"Run {self.header.run_id} on {clean(self.header.stack)}: {self._headline}"]
        if self.delivery is not None:
            report = self.delivery
            lines.append(
                f"  {report.sent} sent: {report.acked} acknowledged, {report.refused} refused, "
                f"{report.unknown_sends} unanswered ({report.recovered_sends} of them arrived)"
            )
            lines.append(
                f"  {report.count('expected')} deliveries due: {report.count('received')} received, "
                f"{report.count('lost')} lost, {report.count('unknown')} unknown; {report.count('duplicated')} duplicated, "
                f"{report.count('altered')} altered, {report.count('unexpected')} unexpected"
            )
        if self.backlog is not None:
            lines.append(f"  {self.backlog.to_text()}")
        for name, judgement in self.judgements.items():
            lines.append(f"  {name}: {judgement.verdict.value} ({judgement.coverage})")
            if judgement.reason:
                lines.append(f"    {judgement.reason}")
            lines += [f"    {clean(problem.summary)}" for problem in judgement.problems[:_SHOWN]]
            if judgement.problems_total > _SHOWN:
                lines.append(f"    and {judgement.problems_total - _SHOWN} more (see the JSON report)")
        for name, found in self.latency_ms.items():
            values = ", ".join(f"{percentile} {value:.1f}" for percentile, value in found.items())
            lines.append(f"  due to {_ENDS[name]}, ms: {values}")
        lines += [f"  unreliable: {clean(warning)}" for warning in self.warnings]
        lines += self.after.lines() if self.after else []
        notes = [*self.notes, *(note for judgement in self.judgements.values() for note in judgement.notes)]
        return "\n".join(lines + [f"  note: {clean(note)}" for note in dict.fromkeys(notes)])


_ENDS = {"send": "answer", "push": "push"}
_HEADLINE = {
    ExitCode.HOLDS: "every acknowledged message is accounted for",
    ExitCode.VIOLATED: "messages were lost, duplicated, changed or out of order, or read marks were lost",
    ExitCode.INCONCLUSIVE: "not every message can be accounted for",
}


def account_for(
    paths: Sequence[Path], *, settle_s: float, quiet_s: float | None = None, warnings: Sequence[str] = ()
) -> Account:
    """Judge the journals of one run: columns, or the JSON Lines that runs over REST wrote in earlier versions.

    `settle_s` and `quiet_s` are those of `judge_delivery`. Raises JournalError for a journal that cannot be read, and for journals of several runs.
    """
    if not paths:
        raise JournalError("there is no journal to judge. Name the files: python -m load judge reports/out/load-RUN-*")
    in_columns = {is_columns(path) for path in paths}
    if len(in_columns) > 1:
        raise JournalError("these journals have two formats, so they belong to several runs. Judge one run at a time.")
    if in_columns == {True}:
        return _account_for_columns(paths, settle_s, quiet_s, tuple(warnings))
    readers = [JournalReader(path) for path in paths]
    _one_run(readers)
    delivery = judge_delivery(merged(readers), settle_s=settle_s, quiet_s=quiet_s)
    order = judge_order(merged(readers))
    return Account(
        header=min((reader.header for reader in readers), key=lambda header: header.time_ns),
        ended_at=max(reader.last_at for reader in readers),
        delivery=delivery,
        order=order,
        notes=tuple(note for reader in readers for note in reader.notes),
    )


def _account_for_columns(
    paths: Sequence[Path], settle_s: float, quiet_s: float | None, warnings: tuple[str, ...]
) -> Account:
    _one_run([ColumnReader(path) for path in paths])
    readers, judged = judge_run(paths, settle_s=settle_s, quiet_s=quiet_s)
    # The last events of a recorder that was killed are in no journal: they can be neither confirmed nor refuted.
    killed = tuple(f"the recorder of {reader.path.name} did not finish" for reader in readers if not reader.ended)
    unsure = tuple(
        f"the clock of {reader.path.name} is known to {reader.clock.error_ns / 1e6:.0f} ms only: events of different machines "
        "cannot be put in one order. Synchronise all machines with the same time server"
        for reader in readers
        if reader.clock is not None and reader.clock.error_ns > CLOCK_ERROR_MAX_NS
    )
    return Account(
        header=min((reader.header for reader in readers), key=lambda header: header.time_ns),
        ended_at=max(reader.last_at for reader in readers),
        delivery=judged.delivery,
        order=judged.order,
        pushes=judged.pushes,
        receipts=judged.receipts,
        notes=judged.notes,
        warnings=(*warnings, *killed, *unsure),
        latency_ms=judged.latency_ms,
        timeline=judged.timeline,
        backlog=judged.backlog,
    )


def _one_run(readers: Sequence[JournalReader] | Sequence[ColumnReader]) -> None:
    runs = {reader.header.run_id for reader in readers}
    if len(runs) > 1:
        raise JournalError(
            f"these journals belong to {len(runs)} runs: {', '.join(sorted(runs))}. Judge one run at a time."
        )


def write_json(account: Account, path: Path) -> None:
    """Write the report as JSON. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(account.to_json(), indent=2) + "\n", encoding="utf-8")


def _delivery_json(report: DeliveryReport) -> dict[str, Any]:
    names = ("sent", "acked", "refused", "unknown_sends", "recovered_sends", "failed_reads")
    counts = [one.name for one in fields(DeliveryTally)]
    short = {name: asdict(tally) for name, tally in report.receivers.items() if tally.expected != tally.received}
    return {name: getattr(report, name) for name in names} | {
        "deliveries": {name: report.count(name) for name in counts},
        "receivers": len(report.receivers),
        # A run in which everything failed needs no list of all receivers.
        "receivers_short": dict(list(short.items())[:_RECEIVERS_MAX]),
    }


def _judgement_json(judgement: JournalJudgement) -> dict[str, Any]:
    return {
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "coverage": str(judgement.coverage),
        "problems_total": judgement.problems_total,
        "problems": [
            {
                "key": clean(problem.key or ""),
                "summary": clean(problem.summary),
                "expected": clean(problem.expected),
                "actual": clean(problem.actual),
                "next_step": problem.next_step,
                "evidence": {name: clean(value) for name, value in problem.evidence.items()},
            }
            for problem in judgement.problems
        ],
        "notes": list(judgement.notes),
    }
