"""`run`: judge every invariant, show the result, and write the reports."""

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

from verifier.commands.files import write_whole
from verifier.engine.session import Pace, RunNotStored, Session, open_session
from verifier.engine.waivers import accepted_ids
from verifier.history import History, HistoryError
from verifier.model.invariant import Severity
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode, RunResult
from verifier.render.console import make_console, print_json
from verifier.render.html import render_html, section_of
from verifier.render.terminal import TerminalRenderer

TREND_RUNS = 60


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files to write, and how much to print. The path `-` of `json` is standard output."""

    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    audit: Path | None = None
    quiet: bool = False
    verbose: bool = False


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
    """Run the checks, write the reports, show the result, and return the exit code. Raises ProfileError, HistoryError."""
    with open_session(profile_path, only=only, phase=phase, checks=checks) as session:
        accepted = accepted_ids(session.profile, datetime.now(UTC).date())
        renderer = TerminalRenderer(
            make_console(quiet=outputs.quiet, stderr=_is_stdout(outputs.json)),
            verbose=outputs.verbose,
            known=_unless_broken(session.history.finding, None),
            fail_on=fail_on,
            accepted=accepted,
            healed=_unless_broken(_healed(session), []),
            shows_result=False,
        )
        with renderer:
            result, stored = _run(session, renderer, pace)
        code = _exit_code(result, fail_on, accepted, stored=stored)
        reasons = {item.check: item.reason for item in session.profile.accept_inconclusive if item.check in accepted}
        if not _write(result, outputs, code, reasons, session.history) and code is ExitCode.HOLDS:
            code = ExitCode.UNDELIVERED
        renderer.show(result, code)
    return code


def _run(session: Session, renderer: TerminalRenderer, pace: Pace) -> tuple[RunResult, bool]:
    """The result, and whether the history has it. A run whose history breaks ends with what was judged until then."""
    try:
        return session.run(renderer.handle, pace), True
    except RunNotStored as error:
        reason = clean(str(error))
        sys.stderr.write(f"verifier: this run is not stored. {reason}\n")
        return error.result.with_notes(f"this run is not in the history: {reason}"), False


def _exit_code(result: RunResult, fail_on: frozenset[Severity], accepted: frozenset[str], *, stored: bool) -> ExitCode:
    code = result.exit_code(fail_on, accepted)
    if stored:
        return code
    if code is ExitCode.INTERRUPTED:  # by the history: what is missing could not be judged
        code = replace(result, interrupted=False).exit_code(fail_on, accepted)
        return ExitCode.INCONCLUSIVE if code is ExitCode.HOLDS else code
    return ExitCode.UNDELIVERED if code is ExitCode.HOLDS else code


def _healed(session: Session) -> Callable[[RunResult], Any]:
    return lambda result: [] if session.plan.what_if else session.history.healed_since(result.started_at)


def _unless_broken(question: Callable[[Any], Any], otherwise: Any) -> Callable[[Any], Any]:
    """A question to the history that a broken history does not answer."""

    def ask(about: Any) -> Any:
        with suppress(HistoryError):
            return question(about)
        return otherwise

    return ask


def _is_stdout(path: Path | None) -> bool:
    return path is not None and str(path) == "-"


def _write(result: RunResult, outputs: Outputs, code: ExitCode, accepted: dict[str, str], history: History) -> bool:
    """Write the requested files. A file that cannot be written is reported on stderr and does not stop the others."""
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
        try:
            if _is_stdout(path):
                print_json(document())
            else:
                write_whole(path, text())
        except (OSError, HistoryError) as error:
            delivered = False
            cause = error.strerror if isinstance(error, OSError) else clean(str(error))
            sys.stderr.write(f"verifier: the report {path} could not be written: {cause}.\n")
    return delivered
