"""Errors of the profile."""

from __future__ import annotations


class ProfileError(Exception):
    """The profile cannot be used. The text says what is wrong, where, and what would be right. Exit code 3."""


class NotMapped(Exception):
    """The profile does not map an object, so a check that needs it does not apply."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the profile maps no {what}")
