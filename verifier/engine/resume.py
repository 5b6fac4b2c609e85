"""Whether a run that was cut short can be taken up again: the same question, of the same stack, and not too long ago."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from verifier import __version__
from verifier.engine.plan import Plan
from verifier.history.records import InterruptedRun
from verifier.model.text import duration_text
from verifier.profile.models import Profile

_POLITENESS = {"budgets", "schedule", "gate", "history"}
"""What may be changed between the two halves: it decides how fast is asked, not what."""


RESUMES_MAX = 10
"""A run that always dies must not keep a service from ever making a new one."""


def plan_document(profile: Profile, plan: Plan) -> dict[str, Any]:
    """What a run sets out to do, as it is remembered. Holds no secret: of the profile there is a digest only."""
    told = profile.model_dump(mode="json", exclude=_POLITENESS)
    told.get("timing", {}).pop("pause_file", None)
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
    return {
        "checks": sorted(item.id for item in plan.checks),
        "phase": plan.phase.value,
        "profile": digest,
        "verifier": __version__,
    }


def why_not(cut: InterruptedRun | None, document: Mapping[str, Any], now: datetime, max_age_s: float) -> str | None:
    """Why there is nothing to take up, or None where there is."""
    if cut is None:
        return "nothing to resume: the last run of this stack has its end"
    said = f"run {cut.run_id} was cut short and cannot be resumed"
    differing = [name for name in ("checks", "phase", "profile", "verifier") if cut.plan.get(name) != document[name]]
    if differing:
        words = {"checks": "other checks were chosen", "phase": "the phase is another"}
        words |= {"profile": "the profile has changed", "verifier": "the verifier is of another version"}
        return f"{said}: {', '.join(words[name] for name in differing)}"
    if cut.resumed >= RESUMES_MAX:
        return f"{said}: it was taken up {cut.resumed} times already, and never came to its end"
    age_s = (now - cut.last_at).total_seconds()
    if age_s > max_age_s:
        return f"{said}: it stopped {duration_text(age_s)} ago, more than timing.resume_within_s allows"
    return None


def resume_note(cut: InterruptedRun, checks: int) -> str:
    """The note of a run that was resumed."""
    times = cut.resumed + 1
    often = "" if times == 1 else f" for the {times}. time"
    return (
        f"resumed{often}: the run began {cut.started_at:%Y-%m-%d %H:%M:%S} UTC and was cut short "
        f"at {cut.last_at:%H:%M:%S} UTC, when {cut.judged} of {checks} checks were judged; their verdicts are from then"
    )
