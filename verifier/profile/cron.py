"""Cron expressions with the meaning that cron gives them. All times are UTC."""

from __future__ import annotations

from datetime import UTC

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def cron_trigger(expression: str) -> BaseTrigger:
    """The trigger for `minute hour day month weekday`. Raises ValueError."""
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"{expression!r} has {len(fields)} fields; cron has five: minute hour day month weekday")
    minute, hour, day, month, weekday = fields
    try:
        if weekday == "*" or day == "*":
            return _trigger(minute, hour, day, month, _weekdays(weekday))
        # If both are restricted, cron fires when either matches. APScheduler would require both.
        return OrTrigger(
            [_trigger(minute, hour, day, month, "*"), _trigger(minute, hour, "*", month, _weekdays(weekday))]
        )
    except ValueError as error:
        raise ValueError(f"{expression!r} is not a cron expression: {error}") from None


def _trigger(minute: str, hour: str, day: str, month: str, weekday: str) -> CronTrigger:
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=UTC)


def _weekdays(field: str) -> str:
    """The field with names instead of numbers: in cron, 0 and 7 are Sunday; in APScheduler, 0 is Monday."""
    if field == "*":
        return field
    chosen: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = 0 if span == "*" else _weekday(first)
        high = _weekday(last) if last else 6 if span == "*" or step else low
        if low > high or (step and not step.isdecimal()) or step == "0":
            raise ValueError(f"{part!r} is not a valid range of weekdays")
        chosen |= {number % 7 for number in range(low, high + 1, int(step or 1))}
    return ",".join(_DAYS[number] for number in sorted(chosen))


def _weekday(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isdecimal() and int(text) <= 7:
        return int(text)
    raise ValueError(f"{text!r} is not a weekday (0 to 7, or sun to sat)")
