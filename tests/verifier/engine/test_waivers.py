"""Waivers: which findings they cover, and that they never hide findings."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tests.verifier.history.samples import finding, outcome, violated
from verifier.engine.waivers import apply_waivers, unused_waivers
from verifier.history import History
from verifier.model.verdict import Judgement, Verdict
from verifier.profile import Profile, ProfileError, parse_profile

TODAY = date(2026, 11, 23)
BASE = 'stack = "s"\nphase = "baseline"\n[roles]\n'


def profile(*waivers: str) -> Profile:
    """A profile with these waivers for USR-01."""
    tables = "".join(
        f'[[waivers]]\ncheck = "USR-01"\nowner = "ann"\nreason = "import runs"\n{item}\n' for item in waivers
    )
    return parse_profile(BASE + tables)


@pytest.fixture
def judgement() -> Judgement:
    """Three findings."""
    with History.open("memory:", stack="s") as history:
        return violated([finding(history, f"u{number}") for number in range(3)]).judgement


@pytest.mark.parametrize(
    ("waivers", "verdict", "note"),
    [
        (("expires = 2026-12-01",), Verdict.WAIVED, ""),
        (("expires = 2026-11-23",), Verdict.WAIVED, ""),
        (("expires = 2026-11-22",), Verdict.VIOLATED, "expired waiver of ann"),
        (("expires = 2026-12-01\nmax_findings = 3",), Verdict.WAIVED, ""),
        (("expires = 2026-12-01\nmax_findings = 2",), Verdict.VIOLATED, "exceeded waiver of ann"),
        (
            ("expires = 2026-12-01\nfingerprints = ['FIRST']",),
            Verdict.VIOLATED,
            "2 of 3 findings are not covered by a waiver",
        ),
        (("expires = 2026-12-01\nfingerprints = ['FIRST', 'SECOND', 'THIRD']",), Verdict.WAIVED, ""),
        (
            (
                "expires = 2026-12-01\nfingerprints = ['FIRST']",
                "expires = 2026-12-01\nfingerprints = ['SECOND', 'THIRD']",
            ),
            Verdict.WAIVED,
            "",
        ),
        (("expires = 2026-11-01", "expires = 2026-12-01"), Verdict.WAIVED, "expired waiver of ann"),
        (("expires = 2026-12-01\nfingerprints = ['00000000']",), Verdict.VIOLATED, "unused waiver of ann"),
    ],
)
def test_what_a_waiver_covers(judgement: Judgement, waivers: tuple[str, ...], verdict: Verdict, note: str) -> None:
    """A waiver has an expiry date, and may have a maximum number or fingerprints. Otherwise the check is violated, and a note says why."""
    names = [item.fingerprint for item in judgement.findings]
    texts = [
        text.replace("FIRST", names[0]).replace("SECOND", names[1][:8]).replace("THIRD", names[2]) for text in waivers
    ]
    judged = apply_waivers(judgement, "USR-01", profile(*texts), TODAY)
    assert judged.verdict is verdict
    assert note in "\n".join(judged.notes)
    assert judged.findings == judgement.findings
    if verdict is Verdict.WAIVED:
        assert "import runs" in judged.reason


def test_a_waiver_with_fingerprints_does_not_cover_unlisted_findings(judgement: Judgement) -> None:
    """A check that found more than it lists needs a waiver without fingerprints."""
    names = ", ".join(f"'{item.fingerprint}'" for item in judgement.findings)
    narrow = profile(f"expires = 2026-12-01\nfingerprints = [{names}]")
    assert apply_waivers(replace(judgement, findings_total=9), "USR-01", narrow, TODAY).verdict is Verdict.VIOLATED


def test_an_unused_waiver_is_a_note_on_the_run(judgement: Judgement) -> None:
    """It is a note on the check and on the run, and changes no verdict."""
    judged = apply_waivers(outcome().judgement, "USR-01", profile("expires = 2026-12-01"), TODAY)
    assert judged.verdict is Verdict.HOLDS
    assert judged.notes[-1].startswith("unused waiver of ann")
    assert "unused waivers: USR-01" in unused_waivers([replace(outcome(), judgement=judged)])[0]
    assert unused_waivers([outcome()]) == ()


def test_a_waiver_with_a_malformed_fingerprint_is_a_profile_error() -> None:
    """Fingerprints are hexadecimal, as reports show them."""
    with pytest.raises(ProfileError, match="is not a fingerprint"):
        profile("expires = 2026-12-01\nfingerprints = ['u1']")
