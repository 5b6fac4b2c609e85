"""Waivers: a known breach that someone answers for until a date, up to a number, for all findings of a check or for some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from verifier.model.finding import Finding
from verifier.model.verdict import Judgement, Outcome, Verdict
from verifier.profile.models import Profile
from verifier.profile.waivers import Waiver

UNUSED = "unused "


def apply_waivers(judgement: Judgement, check_id: str, profile: Profile, today: date) -> Judgement:
    """Turn `violated` into `waived` where waivers cover every finding; one that is expired or exceeded is a note on the violation."""
    waivers = [item for item in profile.waivers if item.check == check_id]
    if not waivers:
        return judgement
    if judgement.verdict is not Verdict.VIOLATED:
        return _noted(judgement, [f"{UNUSED}{_said(item)}" for item in waivers])
    notes, valid = [], []
    for item in waivers:
        count = _covered_count(item, judgement)
        if item.expires < today:
            notes.append(f"expired {_said(item)}")
        elif item.max_findings is not None and count > item.max_findings:
            notes.append(f"exceeded {_said(item)} (at most {item.max_findings} findings, {count} found)")
        elif not count:
            notes.append(f"{UNUSED}{_said(item)}")
        else:
            valid.append(item)
    left = _left_over(judgement, valid)
    if left and valid:
        notes.append(
            f"{left} of {max(judgement.findings_total, len(judgement.findings))} findings are covered by no waiver"
        )
    if left:
        return _noted(judgement, notes)
    return replace(_noted(judgement, notes), verdict=Verdict.WAIVED, reason="; ".join(map(_said, valid)))


def _said(waiver: Waiver) -> str:
    narrowed = f" for {', '.join(waiver.fingerprints)}" if waiver.fingerprints else ""
    return f"waiver of {waiver.owner}{narrowed} until {waiver.expires.isoformat()}: {waiver.reason}"


def _covers(waiver: Waiver, finding: Finding) -> bool:
    return not waiver.fingerprints or finding.fingerprint.startswith(waiver.fingerprints)


def _covered_count(waiver: Waiver, judgement: Judgement) -> int:
    if not waiver.fingerprints:
        return max(judgement.findings_total, len(judgement.findings))
    return sum(_covers(waiver, item) for item in judgement.findings)


def _left_over(judgement: Judgement, valid: Sequence[Waiver]) -> int:
    """How many findings no waiver covers; what a check found beyond what it lists can only be covered by a wide one."""
    if any(not item.fingerprints for item in valid):
        return 0
    listed = sum(not any(_covers(item, finding) for item in valid) for finding in judgement.findings)
    return listed + max(0, judgement.findings_total - len(judgement.findings))


def _noted(judgement: Judgement, notes: Iterable[str]) -> Judgement:
    return replace(judgement, notes=(*judgement.notes, *notes))


def unused_waivers(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """One warning for the whole run: a waiver that covers nothing hides what comes next."""
    ids = [item.check_id for item in outcomes for note in item.judgement.notes if note.startswith(f"{UNUSED}waiver")]
    if not ids:
        return ()
    return (
        f"unused waivers: {', '.join(dict.fromkeys(ids))}; remove them from the profile, or they will hide the next breach",
    )


def accepted_ids(profile: Profile, today: date) -> frozenset[str]:
    """Checks whose inconclusive verdict the profile takes out of the exit code, today."""
    return frozenset(item.check for item in profile.accept_inconclusive if item.expires >= today)
