"""Errors of the profile."""

from __future__ import annotations


class ProfileError(Exception):
    """The profile cannot be used. The text says what is wrong, where, and what would be right. Exit code 3."""


class NotMapped(Exception):
    """The profile does not map an object that a check needs.

    Attributes:
        name: the object as the profile writes it, such as `relations.users` or `relations.users.columns.phone`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"not mapped: {_words(name)}")
        self.name = name


def _words(name: str) -> str:
    """`column users.phone` for `relations.users.columns.phone`, `role broker` for `roles.broker`."""
    table, _, rest = name.partition(".")
    relation, _, column = rest.partition(".columns.")
    if column:
        return f"column {relation}.{column}"
    return f"{table.removesuffix('s')} {rest}" if rest else name
