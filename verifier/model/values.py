"""Values that mean something beyond themselves: a time that never comes, and what cannot be read as its column's type."""

from __future__ import annotations

from datetime import UTC, datetime

FOREVER = datetime.max.replace(tzinfo=UTC)
"""The end of what never ends, PostgreSQL's `infinity`, and every time after the year 9999."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""PostgreSQL's `-infinity`, and times before the year 1."""


class Unreadable(str):
    """A stored value, as text, that is not of its column's declared type. `why` says what is wrong and what to do.

    Nothing can be concluded from it: a proof counts the record, and does not judge it.
    """

    __slots__ = ("why",)
    why: str

    def __new__(cls, text: str, why: str) -> Unreadable:
        """The text with its reason."""
        made = super().__new__(cls, text)
        made.why = why
        return made


def has_ended(ends_at: object, now: datetime) -> bool:
    """Whether an end is past. What is not known to end has not ended."""
    return isinstance(ends_at, datetime) and ends_at <= now
