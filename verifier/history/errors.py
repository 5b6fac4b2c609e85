"""Errors of the history. Each message names the cause and the next step, and contains no password."""

from __future__ import annotations


class HistoryError(Exception):
    """The history cannot be used. Exit code 3."""


class HistoryBusy(HistoryError):
    """Another run of the same stack is in progress."""


class LockLost(HistoryError):
    """Another run took the lock while this run was writing. Nothing more is recorded."""


class AmbiguousFingerprint(HistoryError):
    """A fingerprint prefix matches more than one finding."""
