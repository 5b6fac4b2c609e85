"""The state of the service: written by one run at a time, read by health, metrics and report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from verifier.model.verdict import ExitCode, RunResult
from verifier.profile import Profile


class Ending(StrEnum):
    """How a run ended. `skipped`: another run of this stack was in progress."""

    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"


@dataclass(kw_only=True)
class CanaryState:
    """Runs of the canary: how many ended with each exit code, and the last one."""

    codes: Counter[int] = field(default_factory=Counter)
    last_code: int | None = None
    last_at: datetime | None = None


@dataclass(kw_only=True)
class ServiceState:
    """The state of the service.

    `profile`: the newest profile that could be loaded. `profile_error`: why the file on disk cannot be used, or "".
    `latest`: the newest complete run, possibly from before the service started. `failure`: why the last run failed, or "".
    `endings`: runs since the start by result. `reads`: statements, commands and requests sent to each store since the start.
    """

    profile: Profile
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    latest: RunResult | None = None
    latest_code: ExitCode | None = None
    running_since: datetime | None = None
    failure: str = ""
    profile_error: str = ""
    endings: Counter[Ending] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    canary: CanaryState = field(default_factory=CanaryState)
