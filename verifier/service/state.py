"""What the service knows of itself; written by one run at a time, read by health, metrics and page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from verifier.model.verdict import ExitCode, RunResult
from verifier.profile import Profile


class Ending(StrEnum):
    """How an attempt at a run ended; `skipped`: another run of this stack was under way."""

    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"


@dataclass(kw_only=True)
class CanaryState:
    """The canary's flights: how many ended with each exit code, and the last one."""

    codes: Counter[int] = field(default_factory=Counter)
    last_code: int | None = None
    last_at: datetime | None = None


@dataclass(kw_only=True)
class State:
    """The service's state. `profile` is the one in force: the newest that could be read.

    `latest` is the newest run that judged everything, also one from before the service started; `failure` says why the last
    attempt came to nothing, `profile_fault` why the file on disk is not in force.
    """

    profile: Profile
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    latest: RunResult | None = None
    latest_code: ExitCode | None = None
    running_since: datetime | None = None
    failure: str = ""
    profile_fault: str = ""
    endings: Counter[Ending] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    canary: CanaryState = field(default_factory=CanaryState)
