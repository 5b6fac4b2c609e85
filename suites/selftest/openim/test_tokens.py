"""The life of tokens beyond the recordings: grace, expiry, loss, several administrators."""

from __future__ import annotations

import pytest

from fixtures.openim import tokens
from fixtures.openim.errors import Fault
from fixtures.openim.records import User
from fixtures.openim.state import State
from suites.selftest.openim.doubles import ADMIN, Clock


def refused(state: State, token: str) -> int:
    """The code with which a token is refused, 0 when it is accepted."""
    try:
        tokens.verify(state, token)
    except Fault as fault:
        return fault.code
    return 0


def test_an_older_admin_token_dies_300_s_after_a_newer_one(state: State, clock: Clock) -> None:
    """To the millisecond, and for that admin id alone."""
    older, other = tokens.issue(state, ADMIN, 10), tokens.issue(state, "verifier_admin", 10)
    clock.now_s += 60
    newer = tokens.issue(state, ADMIN, 10)
    clock.now_s += 299.9
    assert refused(state, older) == 0
    clock.now_s += 0.2
    assert [refused(state, one) for one in (older, other, newer)] == [1507, 0, 0]


def test_a_token_expires_after_90_days(state: State, clock: Clock) -> None:
    """Expiry is 1501 although the token still stands in the store."""
    state.users.put(User("ann", "Ann"), "ann")
    token = tokens.issue(state, "ann", 1)
    clock.now_s += tokens.LIFETIME_S - 1
    assert refused(state, token) == 0
    clock.now_s += 1
    assert refused(state, token) == 1501


def test_only_the_same_platform_is_kicked_and_dropped_by_the_next_issue(state: State, clock: Clock) -> None:
    """1506 lasts until the user's next token, on whatever platform."""
    first = tokens.issue(state, "ann", 1)
    clock.now_s += 2
    second = tokens.issue(state, "ann", 1)
    assert (refused(state, first), refused(state, second)) == (1506, 0)
    tokens.issue(state, "ann", 2)
    assert (refused(state, first), refused(state, second)) == (1507, 0)


@pytest.mark.parametrize("platform", [0, 99, -1, 12])
def test_platforms_without_a_name_are_never_kicked(state: State, clock: Clock, platform: int) -> None:
    """Trap R11."""
    first = tokens.issue(state, "ann", platform)
    clock.now_s += 2
    tokens.issue(state, "ann", platform)
    assert refused(state, first) == 0


def test_a_logged_out_token_comes_back_within_its_second(state: State, clock: Clock) -> None:
    """Trap R7; a second later the text differs and the old one stays dead."""
    first = tokens.issue(state, "ann", 1)
    tokens.force_logout(state, "ann", 1)
    assert refused(state, first) == 1506
    assert tokens.issue(state, "ann", 1) == first
    assert refused(state, first) == 0
    tokens.force_logout(state, "ann", 1)
    clock.now_s += 1
    assert tokens.issue(state, "ann", 1) != first
    assert refused(state, first) == 1507


def test_a_forced_logout_reaches_who_holds_connections(state: State) -> None:
    """The gateway hears of it."""
    heard: list[tuple[str, int]] = []
    state.kick_listeners.append(lambda user_id, platform: heard.append((user_id, platform)))
    tokens.force_logout(state, "ann", 5)
    assert heard == [("ann", 5)]


def test_a_lost_store_makes_every_token_unknown(state: State) -> None:
    """Rightly signed, in time, and still 1507."""
    held = [tokens.issue(state, "ann", 1), tokens.issue(state, ADMIN, 10)]
    tokens.flush(state)
    assert [refused(state, one) for one in held] == [1507, 1507]


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "..", "é.é.é", "e30.e30.", "W10.e30.x", "bnVsbA.e30.x"])
def test_odd_texts_are_refused_not_crashed_on(state: State, token: str) -> None:
    """Malformed, or signed in no way that is known."""
    assert refused(state, token) in (1503, 1505)
