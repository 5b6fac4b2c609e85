"""The trials of a capacity search: the plan's own run at another rate, and whether its objectives held."""

from __future__ import annotations

from pathlib import Path

from load.experiments.plans import After, Plan, PlanRun, run_plan
from load.monitoring.generator_health import OF_THE_SERVER
from load.results import Trial
from load.settings import UNNAMED, SettingsError
from verifier.model.verdict import ExitCode
from verifier.profile import ProfileError, load_profile


def trial(plan: Plan, per_s: float, out_dir: Path) -> Trial:
    """Run the plan at so many messages per second, all users together. Raises SettingsError where it cannot run at all."""
    load = plan.load.model_copy(update={"rate": per_s / plan.load.users})
    changed = plan.model_copy(update={"load": load, "after": After(verify=False), "out_dir": str(out_dir)})
    done = run_plan(changed)
    if done.code is ExitCode.USAGE:
        raise SettingsError("The plan was refused; locust says above why.")
    return told(done, per_s)


def told(done: PlanRun, per_s: float) -> Trial:
    """What a run says of its rate: losses, thresholds and what the server did not take break it; a slow generator says nothing."""
    doubts = [str(doubt) for doubt in done.report.get("doubts", ())]
    judged = done.report.get("judgements") or {}
    delivery = done.report.get("delivery") or {}
    server = [doubt for doubt in doubts if OF_THE_SERVER in doubt or doubt.startswith("the run was aborted")]
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
    if len(doubts) > len(server):
        why = tuple(doubt for doubt in doubts if doubt not in server)
        return Trial(per_s=per_s, outcome="generator", why=why, figures=figures)
    return Trial(per_s=per_s, outcome="broke" if broken else "held", why=tuple(broken), figures=figures)


def stack_of(plan: Plan) -> str:
    """The name of the stack that a plan loads. Raises SettingsError for a profile that cannot be read."""
    try:
        return load_profile(Path(plan.target.profile)).stack if plan.target.profile else UNNAMED
    except ProfileError as error:
        raise SettingsError(str(error)) from error
