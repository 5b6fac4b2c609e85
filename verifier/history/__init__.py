"""The history database: runs, verdicts, findings and watermarks, kept from run to run.

`History` is imported on first use, because importing SQLAlchemy takes about 0.3 s and most commands do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verifier.history.errors import AmbiguousFingerprint, HistoryBusy, HistoryError, LockLost
from verifier.history.records import (
    Changes,
    FindingState,
    InterruptedRun,
    RunKind,
    RunState,
    RunSummary,
    StoredFinding,
    StoredWatermark,
)

if TYPE_CHECKING:
    from verifier.history.store import History

__all__ = [
    "AmbiguousFingerprint",
    "Changes",
    "FindingState",
    "History",
    "HistoryBusy",
    "HistoryError",
    "InterruptedRun",
    "LockLost",
    "RunKind",
    "RunState",
    "RunSummary",
    "StoredFinding",
    "StoredWatermark",
]


def __getattr__(name: str) -> Any:
    if name == "History":
        from verifier.history.store import History

        return History
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
