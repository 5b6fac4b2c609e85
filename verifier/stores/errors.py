"""The errors of stores. Each message names the store, the cause and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class StoreError(Exception):
    """A store could not answer. Base class of all errors in this module."""


class Unreachable(StoreError):
    """There is no connection, it broke, or the answer took too long."""


class RouteClosed(StoreError):
    """The server, or a proxy in front of it, does not serve this route."""


class Denied(StoreError):
    """The credential is refused or lacks a privilege."""


class Missing(StoreError):
    """A table, collection or column that the profile names does not exist."""


class Forbidden(StoreError):
    """The allow-list refused a statement. The profile or the verifier is wrong; a retry does not help."""


class TooLarge(StoreError):
    """A request or its answer is larger than the server, or the verifier, accepts. Asking for less at once may succeed."""


class ContinuityLost(StoreError):
    """The remembered state no longer leads to the present one: a resume token is too old, a counter restarted. Take a new
    baseline."""


class PartialAnswer(StoreError):
    """A look-up was answered for some of its values only.

    Attributes:
        rows: the records of the values that were answered.
        unanswered: the values about which nothing is known. Silence about a value does not mean that its record is absent.
    """

    def __init__(self, message: str, rows: Sequence[Any], unanswered: Sequence[Any]) -> None:
        super().__init__(message)
        self.rows = rows
        self.unanswered = unanswered
