"""How the history can fail. Every text is a sentence with the cause and the next step, and holds no password."""

from __future__ import annotations


class HistoryError(Exception):
    """The history cannot be used. Exit code 3."""


class HistoryBusy(HistoryError):
    """Another run of the same stack is under way."""


class LockLost(HistoryError):
    """Somebody took the lock over while this run was writing; nothing more is recorded."""


class AmbiguousFingerprint(HistoryError):
    """A prefix fits more than one finding."""
