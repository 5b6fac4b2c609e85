"""`baseline`: store the counters and fingerprints that later runs compare with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from verifier.engine.engine import Engine
from verifier.engine.run_state import Judged
from verifier.engine.session import commit, open_session, run_engine
from verifier.engine.waivers import accepted_ids
from verifier.history import RunKind
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode, Verdict
from verifier.render.console import make_console


def take_baseline(profile_path: Path, *, only: Sequence[str], checks: Sequence[Path]) -> ExitCode:
    """Take the baselines. Exit: 0 all taken, 2 a store could not be read, 130 interrupted. Raises ProfileError, HistoryError.

    As in a run, a check that `accept_inconclusive` names does not count.
    """
    console = make_console()
    baselined: list[str] = []
    with open_session(profile_path, only=only, checks=checks) as session:
        profile, plan, history = session.profile, session.plan, session.history

        def commit_and_note(judged: Judged) -> None:
            if judged.watermarks:
                baselined.append(judged.outcome.check_id)
            commit(history, judged)

        engine = Engine(profile=profile, plan=plan, memory=history, baselining=True, commit=commit_and_note)
        with console.status("taking the baseline (waiting for counters to be flushed)…"), history.lock():
            history.begin(engine.run_id, plan.phase.value, datetime.now(UTC), kind=RunKind.BASELINE)
            result = run_engine(engine)
            history.finish(result)
    console.print(
        f"baseline of {profile.stack} in phase {plan.phase.value}: {len(baselined)} checks baselined ({', '.join(sorted(baselined)) or 'none'})"
    )
    accepted = accepted_ids(profile, datetime.now(UTC).date())
    without = [item for item in result.outcomes if item.verdict is Verdict.INCONCLUSIVE]
    failed = [item for item in without if item.check_id not in accepted]
    for item in without:
        excuse = " (accepted by the profile)" if item.check_id in accepted else ""
        console.print(f"no baseline: {item.check_id}{excuse}: {clean(item.judgement.reason)}", style="yellow")
    return ExitCode.INTERRUPTED if result.interrupted else ExitCode.INCONCLUSIVE if failed else ExitCode.HOLDS
