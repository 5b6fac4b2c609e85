"""Waivers: a known breach that someone answers for until a date, up to a number."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from verifier.profile.models import Profile
from verifier.verdict import Judgement, Verdict


def apply_waivers(judgement: Judgement, check_id: str, profile: Profile, today: date) -> Judgement:
    """Turn `violated` into `waived` where a waiver covers it; an expired or exceeded waiver is a note on the violation."""
    waiver = next((item for item in profile.waivers if item.check == check_id), None)
    if waiver is None:
        return judgement
    said = f"waiver of {waiver.owner} until {waiver.expires.isoformat()}: {waiver.reason}"
    if judgement.verdict is not Verdict.VIOLATED:
        return replace(judgement, notes=(*judgement.notes, f"unused {said}"))
    if waiver.expires < today:
        return replace(judgement, notes=(*judgement.notes, f"expired {said}"))
    if waiver.max_findings is not None and judgement.findings_total > waiver.max_findings:
        note = f"exceeded {said} (at most {waiver.max_findings} findings, {judgement.findings_total} found)"
        return replace(judgement, notes=(*judgement.notes, note))
    return replace(judgement, verdict=Verdict.WAIVED, reason=said)


def accepted_ids(profile: Profile, today: date) -> frozenset[str]:
    """Checks whose inconclusive verdict the profile takes out of the exit code, today."""
    return frozenset(item.check for item in profile.accept_inconclusive if item.expires >= today)
