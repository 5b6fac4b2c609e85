"""`run`, `baseline` and `recheck`: engine in, terminal, files and history out."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from verifier.checks.catalogue import load_checks
from verifier.engine.engine import Engine, Judged, Unfinished, run
from verifier.engine.pending_checks import with_pending
from verifier.engine.plan import Plan, make_plan
from verifier.engine.resume import plan_document, resume_note, why_not
from verifier.engine.waivers import accepted_ids
from verifier.history import History, RunKind, RunState, StoredFinding
from verifier.model.events import Event
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode, RunResult, Verdict
from verifier.profile import Profile, ProfileError, load_profile
from verifier.render.html import ReportSection, render_html
from verifier.render.terminal import TerminalRenderer

TREND_RUNS = 60


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where a result goes beside the terminal."""

    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    audit: Path | None = None
    quiet: bool = False
    verbose: bool = False


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a run is carried out, beside what it judges."""

    max_runtime_s: float | None = None
    resume: bool = False
    pause_file: Path | None = None


def execute(
    profile: Profile,
    plan: Plan,
    history: History,
    *,
    kind: RunKind,
    handle: Callable[[Event], None],
    pace: Pace | None = None,
) -> RunResult:
    """One run with memory: under the stack's lock, each check committed as soon as it is judged."""
    pace = pace or Pace()
    document = plan_document(profile, plan)
    with history.lock():
        plan = with_pending(plan, history, profile.pending)
        unfinished, note = _unfinished(history, document, profile, asked=pace.resume and kind is RunKind.RUN)
        engine = Engine(
            profile=profile,
            plan=replace(plan, notes=(*plan.notes, *note)),
            memory=history,
            commit=lambda judged: _commit(history, judged),
            baselining=kind is RunKind.BASELINE,
            max_runtime_s=pace.max_runtime_s,
            pause_file=pace.pause_file or _pause_file(profile),
            last_run_at=_last_run_at(history),
            unfinished=unfinished,
            checkpoint_store=history if kind is RunKind.RUN else None,
        )
        if unfinished is None:
            resumable = document if kind is RunKind.RUN else None
            history.begin(engine.run_id, plan.phase.value, datetime.now(UTC), kind=kind, plan=resumable)
        else:
            history.resume(engine.run_id)
        result = run(engine, handle)
        history.finish(result)
    return result


def _pause_file(profile: Profile) -> Path | None:
    return Path(profile.timing.pause_file) if profile.timing.pause_file else None


def _last_run_at(history: History) -> datetime | None:
    """When the last run that went to its end had ended."""
    finished = (run for run in history.runs() if run.kind is RunKind.RUN and run.state is RunState.FINISHED)
    return next((run.ended_at for run in finished), None)


def _unfinished(
    history: History, document: dict[str, Any], profile: Profile, *, asked: bool
) -> tuple[Unfinished | None, tuple[str, ...]]:
    """The first part of a run that was cut short, if it is to be taken up and can be; and what to say about it."""
    cut = history.interrupted_run()
    reason = why_not(cut, document, datetime.now(UTC), profile.timing.resume_within_s)
    if not asked:
        hint = f"run {cut.run_id} was cut short; `verifier run --resume` would have gone on with it" if cut else ""
        return None, (hint,) if hint and reason is None else ()
    before = history.result(cut.run_id) if cut else None
    if reason is not None or cut is None or before is None:
        return None, (f"{reason}; this is a new run",) if cut else ()
    found = Unfinished(run_id=cut.run_id, started_at=cut.started_at, outcomes=before.outcomes, reads=before.reads)
    return found, (resume_note(cut, len(document["checks"])),)


def _commit(history: History, judged: Judged) -> None:
    history.commit_check(judged.outcome, judged.watermarks, judged.positions, reads=judged.reads)


def open_history(profile: Profile) -> History:
    """The history that the profile names."""
    return History.open(profile.history, stack=profile.stack)


def run_checks(
    profile_path: Path,
    *,
    only: Sequence[str],
    phase: str | None,
    fail_on: frozenset[Severity],
    pace: Pace,
    checks: Sequence[Path],
    outputs: Outputs,
) -> ExitCode:
    """`verifier run`."""
    profile = load_profile(profile_path)
    plan = make_plan(load_checks(checks), profile, only=only, phase=phase)
    accepted = accepted_ids(profile, datetime.now(UTC).date())
    console = Console(quiet=outputs.quiet, stderr=_to_stdout(outputs.json))
    with open_history(profile) as history:
        renderer = TerminalRenderer(
            console,
            verbose=outputs.verbose,
            known=history.finding,
            fail_on=fail_on,
            accepted=accepted,
            healed=lambda result: _healed(history, result, plan),
        )
        with renderer:
            kind = RunKind.WHAT_IF if plan.what_if else RunKind.RUN
            result = execute(profile, plan, history, kind=kind, handle=renderer.handle, pace=pace)
        code = result.exit_code(fail_on, accepted)
        reasons = {item.check: item.reason for item in profile.accept_inconclusive if item.check in accepted}
        delivered = _write(result, outputs, code, reasons, history)
    return code if delivered or code is not ExitCode.HOLDS else ExitCode.UNDELIVERED


def _to_stdout(path: Path | None) -> bool:
    return path is not None and str(path) == "-"


def section_of(
    result: RunResult, history: History, *, heading: str = "", exit_code: ExitCode | None = None
) -> ReportSection:
    """A run as a section of the HTML report, with what the history knows of its findings."""
    prints = (finding.fingerprint for item in result.outcomes for finding in item.judgement.findings)
    return ReportSection(
        heading=heading or f"{result.stack}, phase {result.phase}",
        result=result,
        exit_code=exit_code,
        known={name: known for name in prints if (known := history.finding(name)) is not None},
        healed=history.healed_since(result.started_at),
    )


def _healed(history: History, result: RunResult, plan: Plan) -> list[StoredFinding]:
    return [] if plan.what_if else history.healed_since(result.started_at)


def _write(result: RunResult, outputs: Outputs, code: ExitCode, accepted: dict[str, str], history: History) -> bool:
    """Write the files that were asked for; one that cannot be written is told and does not stop the others."""
    from verifier.render.audit import to_audit
    from verifier.render.json import to_json
    from verifier.render.junit import to_junit

    section = functools.cache(lambda: section_of(result, history, exit_code=code))

    def document() -> dict[str, Any]:
        return to_json(result, exit_code=code, known=section().known, healed=section().healed)

    wanted: list[tuple[Path | None, Callable[[], str]]] = [
        (outputs.json, lambda: json.dumps(document(), indent=2, ensure_ascii=False) + "\n"),
        (outputs.audit, lambda: to_audit(result)),
        (outputs.junit, lambda: to_junit(result, accepted=accepted)),
        (
            outputs.html,
            lambda: render_html(
                [section()],
                title=f"{result.stack}: single source of truth",
                trend=history.runs(TREND_RUNS),
            ),
        ),
    ]
    delivered = True
    for path, text in wanted:
        if path is None:
            continue
        if str(path) == "-":
            sys.stdout.write(text())
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            delivered = False
            sys.stderr.write(
                f"verifier: the report {path} could not be written: {error.strerror}. The verdicts are in the history.\n"
            )
    return delivered


def take_baseline(profile_path: Path, *, only: Sequence[str], checks: Sequence[Path]) -> ExitCode:
    """`verifier baseline`: exit 0 when every applicable proof is armed, 2 when a store could not be read."""
    profile = load_profile(profile_path)
    plan = make_plan(load_checks(checks), profile, only=only)
    console = Console()
    baselined: list[str] = []

    with open_history(profile) as history, console.status("taking the baseline (waiting for counters to settle)…"):
        engine = Engine(profile=profile, plan=plan, memory=history, baselining=True)

        def commit(judged: Judged) -> None:
            if judged.watermarks:
                baselined.append(judged.outcome.check_id)
            _commit(history, judged)

        engine.commit = commit
        with history.lock():
            history.begin(engine.run_id, plan.phase.value, datetime.now(UTC), kind=RunKind.BASELINE)
            result = run(engine)
            history.finish(result)
    console.print(
        f"baseline of {profile.stack} in phase {plan.phase.value}: {len(baselined)} checks baselined ({', '.join(sorted(baselined)) or 'none'})"
    )
    blind = [item for item in result.outcomes if item.verdict is Verdict.INCONCLUSIVE]
    for item in blind:
        console.print(f"not armed: {item.check_id}: {clean(item.judgement.reason)}", style="yellow", markup=False)
    return ExitCode.INTERRUPTED if result.interrupted else ExitCode.INCONCLUSIVE if blind else ExitCode.HOLDS


def recheck_finding(fingerprint: str, profile_path: Path, checks: Sequence[Path]) -> ExitCode:
    """`verifier recheck`: judge one finding's record now, without touching what is remembered."""
    profile = load_profile(profile_path)
    registry = load_checks(checks)
    console = Console()
    with open_history(profile) as history:
        known = history.finding(fingerprint)
        if known is None:
            raise ProfileError(
                f"no finding with fingerprint {fingerprint!r} in the history; see: verifier history --findings"
            )
        finding = known.finding
        if finding.check_id not in registry:
            raise ProfileError(
                f"the finding belongs to check {finding.check_id}, which is not loaded; name its file with --checks"
            )
        plan = replace(make_plan(registry, profile), checks=(registry[finding.check_id],))
        engine = Engine(profile=profile, plan=plan, memory=history, only_key=finding.raw_key)
        result = run(engine)
        outcome = result.outcomes[0]
        again = next((item for item in outcome.judgement.findings if item.fingerprint == finding.fingerprint), None)
        if again is not None:
            history.rechecked(finding.fingerprint, again, again.confirmed_at)
            console.print(f"still there: {clean(again.summary)}", style="red", markup=False)
            return ExitCode.VIOLATED
        if outcome.verdict is Verdict.INCONCLUSIVE:
            console.print(f"could not know: {clean(outcome.judgement.reason)}", style="yellow", markup=False)
            return ExitCode.INCONCLUSIVE
        with suppress(LookupError):
            history.rechecked(finding.fingerprint, None, datetime.now(UTC))
        console.print(f"gone: {clean(finding.summary)}", style="green", markup=False)
        return ExitCode.HOLDS
