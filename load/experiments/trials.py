"""The trials of a capacity search: runs of the plan at other rates, and whether they reached the thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from load.config import After, SettingsError
from load.experiments.plans import LoadPlan, PlanResult, run_plan
from load.monitoring.generator_health import SERVER_CAUSED
from load.results import BacklogResult, Trial
from load.target import UNNAMED
from verifier.model.verdict import ExitCode
from verifier.profile import ProfileError, load_profile

GROWTH_MOST: Final = 0.01
"""A backlog that grows by less than this share of the rate counts as steady."""
DRAIN_MOST_S: Final = 2.0
"""A server that keeps up stores the last message within this time of its send."""


def trial(plan: LoadPlan, per_s: float, out_dir: Path) -> Trial:
    """Run the plan at a rate in messages per second, all users together. Raises SettingsError where it cannot run."""
    load = plan.load.model_copy(update={"rate": per_s / plan.load.users})
    changed = plan.model_copy(update={"load": load, "after": After(verify=False), "out_dir": out_dir})
    done = run_plan(changed)
    if done.code is ExitCode.USAGE:
        raise SettingsError("The plan was refused; see locust's message above.")
    return outcome_of_run(done, per_s)


def outcome_of_run(done: PlanResult, per_s: float) -> Trial:
    """Whether a rate held in a run. Violations, missed thresholds, unanswered, refused and unaccepted sends break it.

    So does a backlog that grows: acknowledgements alone look fine at rates that the server cannot store [F66].

    If the generator was the bottleneck, the run shows nothing about the rate.
    """
    warnings = [str(warning) for warning in done.report.get("doubts", ())]
    judged = done.report.get("judgements") or {}
    delivery = done.report.get("delivery") or {}
    server = [warning for warning in warnings if SERVER_CAUSED in warning or warning.startswith("the run was aborted")]
    broken = [*done.broken, *server]
    broken += [
        f"{name}: {found['problems_total']} problems"
        for name, found in judged.items()
        if found["verdict"] == "violated"
    ]
    if unanswered := int(delivery.get("unknown_sends") or 0):
        broken.append(f"{unanswered} sends without an answer")
    if refused := int(delivery.get("refused") or 0):
        broken.append(f"{refused} sends refused")
    figures = _backlog_figures(done.report.get("backlog"), broken, per_s=per_s)
    figures |= {
        f"{name}_{percentile}_ms": float(value)
        for name, found in (done.report.get("latency_ms") or {}).items()
        for percentile, value in found.items()
    }
    if len(warnings) > len(server):
        why = tuple(warning for warning in warnings if warning not in server)
        return Trial(per_s=per_s, outcome="generator", why=why, figures=figures)
    return Trial(per_s=per_s, outcome="broke" if broken else "held", why=tuple(broken), figures=figures)


def _backlog_figures(found: Any, broken: list[str], *, per_s: float) -> dict[str, float]:
    """The figures of the backlog; what it shows against the rate is added to `broken`."""
    if not found:
        return {}
    backlog = BacklogResult.model_validate(found)
    if backlog.grows and (backlog.growth_per_s or 0) > GROWTH_MOST * per_s:
        broken.append(
            f"the backlog of unstored messages grew by {backlog.growth_per_s:.1f} per second (± {backlog.growth_error_per_s:.1f})"
        )
    if backlog.unreadable:
        broken.append(f"{backlog.unreadable} messages were not readable at the end")
    elif backlog.drain_s is not None and backlog.drain_s > DRAIN_MOST_S:
        broken.append(f"the last message was readable {backlog.drain_s:.1f} s after the last send")
    named = {"unstored_most": backlog.unstored_most, "drain_s": backlog.drain_s, "growth_per_s": backlog.growth_per_s}
    return {name: float(value) for name, value in named.items() if value is not None}


def stack_of(plan: LoadPlan) -> str:
    """The name of the stack under load. Raises SettingsError for a profile that cannot be read."""
    try:
        return load_profile(Path(plan.target.profile)).stack if plan.target.profile else UNNAMED
    except ProfileError as error:
        raise SettingsError(str(error)) from error
