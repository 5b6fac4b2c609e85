"""What can be wrong with a profile."""

from __future__ import annotations


class ProfileError(Exception):
    """The profile cannot be used; the text says what, where, and what would be right. Exit code 3."""


class NotMapped(Exception):
    """The profile maps no such object, so a check that needs it does not apply."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the profile maps no {what}")
