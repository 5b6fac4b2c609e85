"""The recorded REST cases."""

from __future__ import annotations

from suites.contract.openim.rest import recording


def test_a_flow_includes_the_cases_that_it_depends_on() -> None:
    """A flow can be replayed alone: the cases that it depends on come first, in recorded order."""
    cases = recording.load()
    names = [case.case for case in recording.closure(cases, "account-check")]
    assert (
        names.index("admin-token-ok") < names.index("register-batch-1000") < names.index("check-batch-1000-registered")
    )
    assert "send-text" not in names
