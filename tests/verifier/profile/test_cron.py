"""Cron expressions have the meaning that cron gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from verifier.profile import ProfileError, parse_profile
from verifier.profile.cron import cron_trigger
from verifier.service.health import next_after

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def fires(expression: str, count: int = 4) -> list[str]:
    """The next times after Monday 00:00, such as `Mon 05 02:17`."""
    trigger, moment, found = cron_trigger(expression), MONDAY, []
    for _ in range(count):
        following = next_after(trigger, moment)
        assert following is not None
        moment = following
        found.append(f"{moment:%a %d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("17 2 * * *", ["Mon 05 02:17", "Tue 06 02:17", "Wed 07 02:17", "Thu 08 02:17"]),
        ("0 3 * * 1", ["Mon 05 03:00", "Mon 12 03:00", "Mon 19 03:00", "Mon 26 03:00"]),
        ("0 3 * * 0", ["Sun 11 03:00", "Sun 18 03:00", "Sun 25 03:00", "Sun 01 03:00"]),
        ("0 3 * * 7", ["Sun 11 03:00", "Sun 18 03:00", "Sun 25 03:00", "Sun 01 03:00"]),
        ("0 3 * * 5-7", ["Fri 09 03:00", "Sat 10 03:00", "Sun 11 03:00", "Fri 16 03:00"]),
        ("0 3 * * mon,3", ["Mon 05 03:00", "Wed 07 03:00", "Mon 12 03:00", "Wed 14 03:00"]),
        ("0 3 * * */3", ["Wed 07 03:00", "Sat 10 03:00", "Sun 11 03:00", "Wed 14 03:00"]),
        ("0 3 10 * 1", ["Mon 05 03:00", "Sat 10 03:00", "Mon 12 03:00", "Mon 19 03:00"]),
        ("*/20 * * * *", ["Mon 05 00:20", "Mon 05 00:40", "Mon 05 01:00", "Mon 05 01:20"]),
    ],
)
def test_expressions_fire_as_in_cron(expression: str, expected: list[str]) -> None:
    """Sunday is 0 and 7, ranges may end on Sunday, and either day of month or day of week must match."""
    assert fires(expression) == expected


@pytest.mark.parametrize(
    "expression", ["", "17 2 * *", "99 2 * * *", "0 0 * * 8", "0 0 * * 5-2", "0 0 * * x", "0 0 * * 1/0"]
)
def test_an_invalid_expression_is_a_profile_error(expression: str) -> None:
    """`parse_profile` names the setting, so that `doctor` and `run` refuse it, not only the service."""
    with pytest.raises(ProfileError, match=r"schedule\.cron: "):
        parse_profile(f'stack = "s"\nphase = "baseline"\n[roles]\n[schedule]\ncron = "{expression}"\n')


def test_the_next_time_is_strictly_after() -> None:
    """A run that started at a scheduled time is followed by the next scheduled time."""
    trigger = cron_trigger("17 2 * * *")
    began = MONDAY + timedelta(hours=2, minutes=17)
    assert next_after(trigger, began) == began + timedelta(days=1)
