"""What is remembered from run to run: runs, verdicts, findings, watermarks.

`History` is loaded on first use, since SQLAlchemy takes a third of a second that a command line without history should not pay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verifier.history.errors import AmbiguousFingerprint, HistoryBusy, HistoryError, LockLost
from verifier.history.records import (
    Changes,
    CutShort,
    FindingState,
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
    "CutShort",
    "FindingState",
    "History",
    "HistoryBusy",
    "HistoryError",
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
