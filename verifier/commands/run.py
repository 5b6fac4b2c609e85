"""`run`: judge every invariant, show the result, and write the reports."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from verifier.engine.session import Pace, open_session
from verifier.engine.waivers import accepted_ids
from verifier.history import History
from verifier.model.invariant import Severity
from verifier.model.verdict import ExitCode, RunResult
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
    """Run the checks and return the exit code. Raises ProfileError, HistoryError."""
    with open_session(profile_path, only=only, phase=phase, checks=checks) as session:
        profile, history = session.profile, session.history
        accepted = accepted_ids(profile, datetime.now(UTC).date())
        renderer = TerminalRenderer(
            Console(quiet=outputs.quiet, stderr=_is_stdout(outputs.json)),
            verbose=outputs.verbose,
            known=history.finding,
            fail_on=fail_on,
            accepted=accepted,
            healed=lambda result: [] if session.plan.what_if else history.healed_since(result.started_at),
        )
        with renderer:
            result = session.run(renderer.handle, pace)
        code = result.exit_code(fail_on, accepted)
        reasons = {item.check: item.reason for item in profile.accept_inconclusive if item.check in accepted}
        delivered = _write(result, outputs, code, reasons, history)
    return code if delivered or code is not ExitCode.HOLDS else ExitCode.UNDELIVERED


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
        if _is_stdout(path):
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
