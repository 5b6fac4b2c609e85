"""Whether an interrupted run can be resumed: the same question, the same stack, and not too long ago."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from verifier.engine.plan import Plan
from verifier.history.records import InterruptedRun
from verifier.model.text import duration_text
from verifier.model.version import __version__
from verifier.profile.models import Profile

_CHANGEABLE = {"budgets", "schedule", "gate", "history"}
"""Settings that may change before a run is resumed: they decide how fast the stores are read, not what is judged."""

RESUMES_MAX = 10
"""After this many resumes a new run is started, so that a service does not resume a run for ever that never finishes."""

_DIFFERENCES = {
    "checks": "other checks were selected",
    "phase": "the phase has changed",
    "profile": "the profile has changed",
    "verifier": "the version of the verifier has changed",
}


def plan_document(profile: Profile, plan: Plan) -> dict[str, Any]:
    """What a run judges, as JSON for the history. It contains no secret: of the profile it holds a digest."""
    settings = profile.model_dump(mode="json", exclude=_CHANGEABLE)
    settings.get("timing", {}).pop("pause_file", None)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    return {
        "checks": sorted(item.id for item in plan.checks),
        "phase": plan.phase.value,
        "profile": digest,
        "verifier": __version__,
    }


def why_not(
    interrupted: InterruptedRun | None, document: Mapping[str, Any], now: datetime, max_age_s: float
) -> str | None:
    """Why the run cannot be resumed, or None if it can."""
    if interrupted is None:
        return "nothing to resume: the last run of this stack was not interrupted"
    prefix = f"run {interrupted.run_id} was interrupted and cannot be resumed"
    differing = [text for name, text in _DIFFERENCES.items() if interrupted.plan.get(name) != document[name]]
    if differing:
        return f"{prefix}: {', '.join(differing)}"
    if interrupted.resumed >= RESUMES_MAX:
        return f"{prefix}: it was resumed {interrupted.resumed} times already and never finished"
    age_s = (now - interrupted.last_at).total_seconds()
    if age_s > max_age_s:
        return f"{prefix}: it stopped {duration_text(age_s)} ago, more than timing.resume_within_s allows"
    return None


def resume_note(interrupted: InterruptedRun, checks: int) -> str:
    """The note of a resumed run. `checks`: how many checks the run has."""
    times = interrupted.resumed + 1
    often = "" if times == 1 else f" ({times} times)"
    return (
        f"resumed{often}: the run started {interrupted.started_at:%Y-%m-%d %H:%M:%S} UTC and was interrupted at "
        f"{interrupted.last_at:%H:%M:%S} UTC, after {interrupted.judged} of {checks} checks were judged; "
        "their verdicts are from that time"
    )
