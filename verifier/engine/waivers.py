"""Waivers: known findings of a check that an owner accepts until a date, up to a number, for all findings or for some."""

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
    """Change `violated` to `waived` if waivers cover every finding. An expired or exceeded waiver is a note on the verdict."""
    waivers = [item for item in profile.waivers if item.check == check_id]
    if not waivers:
        return judgement
    if judgement.verdict is not Verdict.VIOLATED:
        return _with_notes(judgement, [f"{UNUSED}{_text(item)}" for item in waivers])
    notes, valid = [], []
    for item in waivers:
        count = _covered_count(item, judgement)
        if item.expires < today:
            notes.append(f"expired {_text(item)}")
        elif item.max_findings is not None and count > item.max_findings:
            notes.append(f"exceeded {_text(item)} (at most {item.max_findings} findings, {count} found)")
        elif not count:
            notes.append(f"{UNUSED}{_text(item)}")
        else:
            valid.append(item)
    left = _left_over(judgement, valid)
    if left and valid:
        notes.append(
            f"{left} of {max(judgement.findings_total, len(judgement.findings))} findings are not covered by a waiver"
        )
    if left:
        return _with_notes(judgement, notes)
    return replace(_with_notes(judgement, notes), verdict=Verdict.WAIVED, reason="; ".join(map(_text, valid)))


def _text(waiver: Waiver) -> str:
    narrowed = f" for {', '.join(waiver.fingerprints)}" if waiver.fingerprints else ""
    return f"waiver of {waiver.owner}{narrowed} until {waiver.expires.isoformat()}: {waiver.reason}"


def _covers(waiver: Waiver, finding: Finding) -> bool:
    return not waiver.fingerprints or finding.fingerprint.startswith(waiver.fingerprints)


def _covered_count(waiver: Waiver, judgement: Judgement) -> int:
    if not waiver.fingerprints:
        return max(judgement.findings_total, len(judgement.findings))
    return sum(_covers(waiver, item) for item in judgement.findings)


def _left_over(judgement: Judgement, valid: Sequence[Waiver]) -> int:
    """How many findings no waiver covers. Findings beyond the listed ones need a waiver without fingerprints."""
    if any(not item.fingerprints for item in valid):
        return 0
    listed = sum(not any(_covers(item, finding) for item in valid) for finding in judgement.findings)
    return listed + max(0, judgement.findings_total - len(judgement.findings))


def _with_notes(judgement: Judgement, notes: Iterable[str]) -> Judgement:
    return replace(judgement, notes=(*judgement.notes, *notes))


def unused_waivers(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """A note for the run that names the checks with unused waivers."""
    ids = [item.check_id for item in outcomes for note in item.judgement.notes if note.startswith(f"{UNUSED}waiver")]
    if not ids:
        return ()
    return (
        f"unused waivers: {', '.join(dict.fromkeys(ids))}; remove them from the profile, or they will hide the next finding",
    )


def accepted_ids(profile: Profile, today: date) -> frozenset[str]:
    """IDs of the checks whose inconclusive verdict does not count in the exit code today (`accept_inconclusive`)."""
    return frozenset(item.check for item in profile.accept_inconclusive if item.expires >= today)
