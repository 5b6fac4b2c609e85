"""The fault catalogue is complete: each check has its breaches and look-alikes, and each fault is described."""

from __future__ import annotations

import tomllib

import pytest

from fixtures.faults import CATALOGUE, Fault
from fixtures.faults.catalogue import Catalogue
from fixtures.faults.edits import drop, put
from verifier.checks.catalogue import load_checks
from verifier.checks.registry import Check
from verifier.model.invariant import Severity

JUDGES_THE_RUN = {"META-01"}
"""It judges the run itself, which can always be read."""
CHECKS = list(load_checks())


@pytest.mark.parametrize("item", CHECKS, ids=lambda item: item.id)
def test_every_check_has_a_breach_and_two_lookalikes(item: Check) -> None:
    """A check that never fails, that alarms at harmless states, or that is never inconclusive proves nothing."""
    assert any(item.id in fault.expects for fault in CATALOGUE)
    if item.severity in (Severity.CRITICAL, Severity.HIGH) and item.id not in JUDGES_THE_RUN:
        assert any(item.id in fault.inconclusive for fault in CATALOGUE if fault.kind == "unknowable")
    assert sum(item.id in fault.near for fault in CATALOGUE) >= 2


@pytest.mark.parametrize("fault", list(CATALOGUE), ids=lambda fault: fault.id)
def test_a_fault_says_what_it_is(fault: Fault) -> None:
    """Its checks exist, a breach expects a finding and a look-alike none, and its description is a sentence."""
    known = {item.id for item in CHECKS}
    assert {fault.check, *fault.expects, *fault.near, *fault.inconclusive} <= known
    assert bool(fault.expects) == (fault.kind == "breach")
    assert bool(fault.because) == (fault.kind == "unknowable")
    assert fault.kind != "unknowable" or fault.inconclusive
    assert fault.about.endswith(".")


def test_a_fault_is_registered_once() -> None:
    """A second fault with the same name is refused."""
    catalogue = Catalogue()
    first = next(iter(CATALOGUE))
    catalogue.add(first)
    with pytest.raises(ValueError, match="registered twice"):
        catalogue.add(first)


def test_edits_change_what_they_name() -> None:
    """A value is set, a list grows, a key is removed; the rest stays."""
    text = '[policies]\npush_types = ["otp"]\n[relations.users]\nwhere = "x"\n'
    text = drop("relations.users.where")(put("policies.push_types", ["alert"])(put("policies.friends", "ours")(text)))
    assert tomllib.loads(text) == {
        "policies": {"push_types": ["otp", "alert"], "friends": "ours"},
        "relations": {"users": {}},
    }
    with pytest.raises(KeyError):
        drop("relations.users.where")(text)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["USR-01"], {"USR-01"}),
        (["usr-01,tok-01"], {"USR-01", "TOK-01"}),
        (["USR-0*", "META"], {f"USR-0{number}" for number in range(1, 9)} | {"META-01"}),
    ],
)
def test_checks_are_selected_by_ids_families_and_patterns(only: list[str], expected: set[str]) -> None:
    """In any case of letters, one by one or joined by commas."""
    assert {item.id for item in load_checks().select(only)} == expected
