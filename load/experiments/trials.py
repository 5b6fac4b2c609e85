"""The trials of a capacity search: runs of the plan at other rates, and whether they reached the thresholds."""

from __future__ import annotations

from pathlib import Path

from load.config import After, SettingsError
from load.experiments.plans import LoadPlan, PlanResult, run_plan
from load.monitoring.generator_health import SERVER_CAUSED
from load.results import Trial
from load.target import UNNAMED
from verifier.model.verdict import ExitCode
from verifier.profile import ProfileError, load_profile


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
    figures = {
        f"{name}_{percentile}_ms": float(value)
        for name, found in (done.report.get("latency_ms") or {}).items()
        for percentile, value in found.items()
    }
    if len(warnings) > len(server):
        why = tuple(warning for warning in warnings if warning not in server)
        return Trial(per_s=per_s, outcome="generator", why=why, figures=figures)
    return Trial(per_s=per_s, outcome="broke" if broken else "held", why=tuple(broken), figures=figures)


def stack_of(plan: LoadPlan) -> str:
    """The name of the stack under load. Raises SettingsError for a profile that cannot be read."""
    try:
        return load_profile(Path(plan.target.profile)).stack if plan.target.profile else UNNAMED
    except ProfileError as error:
        raise SettingsError(str(error)) from error
