"""Parity rows: declared differences are strict, tokens are hidden, and live servers may differ by chance."""

from __future__ import annotations

import pytest

from suites.contract.openim.deviations import Deviation, Deviations
from suites.contract.openim.parity import deviations_for, row_of
from suites.contract.openim.server import Server


@pytest.fixture
def deviations() -> Deviations:
    """Two declared deviations of the flow f."""
    return Deviations((Deviation("f", "errCode", "known"), Deviation("f", "status", "gone")))


def test_declared_deviations_are_strict(deviations: Deviations) -> None:
    """A declared difference is accepted; an undeclared or an obsolete one is not."""
    row = row_of("REST", "f", ["", "a: errCode = 1"], deviations)
    assert (row.cases, row.equal, row.deviating, row.wrong) == (2, 1, 1, 0)
    assert [one.reason for one in row.obsolete] == ["gone"]
    assert not row.agrees
    assert row_of("REST", "f", ["a: errCode", "b: status"], deviations).agrees
    assert not row_of("REST", "f", ["a: errCode", "b: status", "c: more"], deviations).agrees


def test_tokens_are_hidden() -> None:
    """A token in a difference is replaced by a symbol."""
    (difference,) = row_of("REST", "f", ["a: $.token = eyJhbGciOiJI.eyJVc2V.abc-_d"], Deviations()).differences
    assert difference.text == "a: $.token = <token>"


def test_a_live_server_may_differ_only_by_speed() -> None:
    """The `live_differences` in sessions.toml are accepted with both of their parts, others are not, and none is obsolete."""
    deviations = deviations_for(Server(api="http://host"))
    answer = "b answer 1002 'b-3' (line 25): $.data.msgs.si_a_b.Msgs[0]"
    assert deviations.reason("33-mark-read", f"{answer}.sendID is missing; {answer}.status = 4, recorded 2")
    assert deviations.reason("33-mark-read", f"{answer}.sendID is missing; recorded 2") is None
    assert deviations.reason("15-offline-then-pull", f"{answer}.status = 4, recorded 2") is None
    assert deviations.obsolete("33-mark-read", []) == []
    assert deviations_for(None).strict
