"""`recheck`: judge the record of one finding again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from verifier.checks.catalogue import load_checks
from verifier.engine.engine import Engine
from verifier.engine.plan import make_plan
from verifier.engine.session import open_history, run_engine
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode, Verdict
from verifier.profile import ProfileError, load_profile
from verifier.render.console import make_console


def recheck_finding(fingerprint: str, profile_path: Path, checks: Sequence[Path]) -> ExitCode:
    """Judge the record of one finding now; watermarks do not change.

    Exit: 1 still there, 0 healed, 2 inconclusive. Raises ProfileError for an unknown finding or check.
    """
    profile = load_profile(profile_path)
    registry = load_checks(checks)
    console = make_console()
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
        result = run_engine(engine)
        outcome = result.outcomes[0]
        again = next((item for item in outcome.judgement.findings if item.fingerprint == finding.fingerprint), None)
        if again is not None:
            history.rechecked(finding.fingerprint, again, again.confirmed_at)
            console.print(f"still there: {clean(again.summary)}", style="red")
            return ExitCode.VIOLATED
        if outcome.verdict is Verdict.INCONCLUSIVE:
            console.print(f"inconclusive: {clean(outcome.judgement.reason)}", style="yellow")
            return ExitCode.INCONCLUSIVE
        with suppress(LookupError):
            history.rechecked(finding.fingerprint, None, datetime.now(UTC))
        console.print(f"healed: {clean(finding.summary)}", style="green")
        return ExitCode.HOLDS
