"""`can-advance`: whether the stack may advance to its next phase, judged from the history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from verifier.checks.catalogue import load_checks
from verifier.engine.gate import CanaryAge, Condition, PastRun, Readiness, exit_code, judge_gate
from verifier.engine.plan import make_plan
from verifier.engine.session import open_history
from verifier.engine.waivers import accepted_ids
from verifier.history import History, RunKind, RunState
from verifier.judges.journal import JournalError
from verifier.judges.journal_reader import JournalReader, find_journal
from verifier.model.invariant import Phase
from verifier.model.redact import clean
from verifier.model.text import phase_text
from verifier.model.verdict import ExitCode
from verifier.profile import Profile, ProfileError, load_profile
from verifier.render.console import make_console, print_json

RUNS_MAX = 1000
FORMAT, VERSION = "openim-ssot-verifier/gate", 1
_MARKS = {Readiness.MET: ("✓", "green"), Readiness.MISSING: ("✗", "bold red"), Readiness.UNKNOWN: ("?", "bold yellow")}


def can_advance(profile_path: Path, *, to: str, checks: Sequence[Path], as_json: bool) -> ExitCode:
    """Print the conditions. Exit: 0 may advance, 1 a condition is not met, 2 one is unknown.

    Raises ProfileError for a phase that is not the next one.
    """
    profile = load_profile(profile_path)
    target = _next_phase(profile, to)
    known = make_plan(load_checks(checks), profile).known
    now = datetime.now(UTC)
    with open_history(profile) as history:
        conditions = judge_gate(
            profile,
            _past_runs(history),
            known=known,
            accepted=accepted_ids(profile, now.date()),
            canary=_canary_age(profile, now),
            now=now,
        )
    code = exit_code(conditions)
    if as_json:
        print_json(_document(profile, target, conditions, code))
    else:
        _show(profile, target, conditions, code)
    return code


def _next_phase(profile: Profile, to: str) -> Phase:
    phases = list(Phase)
    try:
        target = Phase(to)
    except ValueError:
        raise ProfileError(
            f"there is no phase {to!r}; choose one of {', '.join(item.value for item in phases)}"
        ) from None
    if target.order <= profile.phase.order:
        raise ProfileError(
            f"{profile.stack} is in phase {profile.phase.value} already. To go back, set phase and since in the profile."
        )
    if target.order > profile.phase.order + 1:
        following = phases[profile.phase.order + 1].value
        raise ProfileError(
            f"{profile.stack} is in phase {profile.phase.value}; the next one is {following}, and phases cannot be skipped"
        )
    return target


def _past_runs(history: History) -> Iterator[PastRun]:
    """Past runs, newest first, loaded on demand. What-if runs are left out."""
    for run in history.runs(RUNS_MAX):
        if run.kind is RunKind.WHAT_IF or (result := history.result(run.run_id)) is None:
            continue
        yield PastRun(result=result, baseline=run.kind is RunKind.BASELINE, finished=run.state is RunState.FINISHED)


def _canary_age(profile: Profile, now: datetime) -> CanaryAge | None:
    if profile.canary is None:
        return None
    path = find_journal(Path(profile.canary.journal))
    if path is None:
        return CanaryAge(age_s=None, reason=f"there is no canary journal at {profile.canary.journal}")
    try:
        reader = JournalReader(path)
        for _ in reader:
            pass
        return CanaryAge(age_s=(now - reader.last_at).total_seconds())
    except JournalError as error:
        return CanaryAge(age_s=None, reason=str(error))


def _document(profile: Profile, target: Phase, conditions: Sequence[Condition], code: ExitCode) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "stack": clean(profile.stack),
        "from": profile.phase.value,
        "to": target.value,
        "may_advance": code is ExitCode.HOLDS,
        "exit_code": code.value,
        "conditions": [{name: clean(str(value)) for name, value in asdict(item).items()} for item in conditions],
    }


def _show(profile: Profile, target: Phase, conditions: Sequence[Condition], code: ExitCode) -> None:
    console = make_console()
    console.print(
        Text.assemble(
            ("can-advance", "bold"),
            f"  {clean(profile.stack)}, from {phase_text(profile.phase.value)} to {phase_text(target.value)}",
        )
    )
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for item in conditions:
        symbol, style = _MARKS[item.state]
        text = Text.assemble(item.name, (f"\n{clean(item.detail)}", "dim"))
        if item.next_step:
            text.append(f"\n→ {clean(item.next_step)}", style="cyan")
        table.add_row(Text(symbol, style=style), text)
    console.print(table)
    missing = sum(item.state is Readiness.MISSING for item in conditions)
    unknown = sum(item.state is Readiness.UNKNOWN for item in conditions)
    verdict = {
        ExitCode.HOLDS: ("yes: set phase and since in the profile, then verifier baseline", "bold green"),
        ExitCode.VIOLATED: (f"no: {missing} missing" + (f", {unknown} unknown" if unknown else ""), "bold red"),
        ExitCode.INCONCLUSIVE: (f"unknown: {unknown} of the conditions", "bold yellow"),
    }[code]
    console.print(Text(f"\n{verdict[0]}", style=verdict[1]))
    console.print(Text(f"exit code {code.value}", style="dim"))
