"""`unmapped`: what a check that needs an unmapped object is judged as."""

from __future__ import annotations

import pytest

from verifier.checks.catalogue import load_checks
from verifier.engine.plan import unmapped
from verifier.model.verdict import Verdict
from verifier.profile.errors import NotMapped, ProfileError
from verifier.profile.load import parse_profile
from verifier.profile.models import Profile

HEAD = 'stack = "s"\nphase = "registered"\nsince = { registered = 2026-11-01T00:00:00Z }\n[roles.user_db]\nurl = "postgresql://db"\n'
PHONE = "relations.users.columns.phone"


def _profile(text: str = "") -> Profile:
    return parse_profile(HEAD + text)


def test_a_critical_invariant_is_inconclusive_and_others_do_not_apply() -> None:
    """The reason names the object, and what to write under `[absent]`."""
    checks = load_checks()
    critical = unmapped(checks["USR-01"], _profile(), NotMapped("relations.users"))
    assert critical.verdict is Verdict.INCONCLUSIVE
    assert critical.reason.startswith("not mapped: relation users. Map it, or state under [absent]")
    high = unmapped(checks["USR-02"], _profile(), NotMapped(PHONE))
    assert high.verdict is Verdict.NOT_APPLICABLE
    assert high.reason == "not mapped: column users.phone"


@pytest.mark.parametrize("name", ["relations.users", PHONE])
def test_what_is_absent_on_purpose_does_not_apply(name: str) -> None:
    """The reason of the profile is the reason of the verdict; a relation stands for its columns."""
    judgement = unmapped(load_checks()["USR-01"], _profile(f'[absent]\n"{name}" = "no phones"\n'), NotMapped(PHONE))
    assert judgement.verdict is Verdict.NOT_APPLICABLE
    assert "no phones" in judgement.reason


def test_what_a_stack_may_withhold_does_not_apply() -> None:
    """OpenIM's own MongoDB and the canary are opt-ins."""
    judgement = unmapped(load_checks()["MSG-05"], _profile(), NotMapped("roles.openim_mongo"))
    assert judgement.verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('"relations.users" = ""', "needs a reason"),
        ('"users" = "none"', "give relations.NAME"),
        ('"roles.user_db" = "none"', "but the profile maps it"),
    ],
)
def test_absences_are_validated(entry: str, message: str) -> None:
    """A reason, a known kind of object, and nothing that is mapped."""
    with pytest.raises(ProfileError, match=message):
        _profile(f"[absent]\n{entry}\n")
