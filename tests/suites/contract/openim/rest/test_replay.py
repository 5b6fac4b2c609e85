"""Replaying a flow reports the cases in which the double differs."""

from __future__ import annotations

import asyncio

import pytest

from fixtures.openim.routes import user
from suites.contract.openim.rest.replay import replay_flow


def test_a_changed_double_fails_the_cases_that_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one check in one route, exactly the cases that depend on it differ."""
    monkeypatch.setattr(user, "require_text", lambda *_: None)
    outcomes = asyncio.run(replay_flow(None, "user-register")).outcomes
    wrong = {outcome.case.case for outcome in outcomes if outcome.differences}
    assert {"register-empty-nickname", "register-missing-nickname"} <= wrong
    assert "register-batch-10000" not in wrong
