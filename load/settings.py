"""What a run is made of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from load.engine.frames import SdkType
from load.monitoring.abort import Limits
from load.monitoring.generator_health import LATE_MOST_MS
from load.users.arrival import Model, due_times, ramp_times

CANARY_PREFIX = "canaryload"
IDLE_PREFIX = "canaryidle"
OUT_DIR = Path("reports/out")
UNNAMED = "unnamed"
GROUP_MOST = 10_000
BATCH_MOST = 1_000
SLOW_MOST_S = 10.0

Transport = Literal["ws", "rest"]
Scenario = Literal["pairs", "groups", "mixed"]
SCENARIOS: tuple[Scenario, ...] = ("pairs", "groups", "mixed")


class SettingsError(Exception):
    """The run cannot start; the text says what is missing and where to give it. Exit code 3."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. `canaries` are the OpenIM ids that may send; empty means ids made of the canary prefix and a number.

    `transport` is how messages travel: `ws` over OpenIM's WebSocket at `ws_url`, `rest` through `/msg/send_msg`.
    With `gateway_url` the WebSocket is reached through the platform's gateway, by sessions of the users with `phones`.
    `window` is how many sends of one connection may be unanswered, `think_s` what a user of the closed model waits.
    `scenario` says whom a user writes to: the other of its pair, a group, or (`mixed`) a share `group_share` of the users to groups. A group has `group_size` members, of whom `group_connected` are
    users of the run (0: all of them) and the others never connect. `outage_…`: see `EnginePlan`. Every `receipts_every_s` (0: never)
    a user marks as read what it got. `batch`: how many receivers a message has, through `/msg/batch_send_msg` (0: one, through
    `/msg/send_msg`). `rate_per_s` is each user's; `settle_s` how long an acknowledged message may take to become readable, and
    `read_deadline_s` how long the run then waits for the last ones.
    """

    api_url: str
    secret: str = field(repr=False)
    admin_user_id: str
    stack: str = UNNAMED
    canaries: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    rate_per_s: float = 1.0
    model: Model = "even"
    text_bytes: int = 64
    settle_s: float = 2.0
    read_deadline_s: float = 30.0
    out_dir: Path = OUT_DIR
    transport: Transport = "rest"
    ws_url: str = ""
    gateway_url: str = ""
    phones: tuple[str, ...] = ()
    sdk_type: SdkType = "js"
    gzipped: bool = False
    window: int = 16
    think_s: float = 0.0
    late_most_ms: float = LATE_MOST_MS
    ramp_from_per_s: float = 0.0
    ramp_s: float = 60.0
    trace: tuple[float, ...] = ()
    limits: Limits = field(default_factory=Limits)
    scenario: Scenario = "pairs"
    group_size: int = 100
    group_connected: int = 0
    group_share: float = 0.3
    outage_every_s: float = 0.0
    outage_share: float = 1.0
    outage_s: float = 0.0
    outage_slow: bool = False
    receipts_every_s: float = 0.0
    batch: int = 0

    def due_s(self, rng: random.Random) -> Iterator[float] | None:
        """When one user's messages are due, in seconds from its start; None in the closed model."""
        match self.model:
            case "closed":
                return None
            case "ramp":
                return ramp_times(self.ramp_from_per_s, self.rate_per_s, self.ramp_s)
            case "trace":
                return iter(self.trace)
            case _:
                return due_times(self.model, self.rate_per_s, rng)

    def user_id(self, number: int) -> str | None:
        """The canary with this number (from 0; its phone number for the gateway), or None when there is no more."""
        if self.gateway_url:
            return self.phones[number] if number < len(self.phones) else None
        if not self.canaries:
            return f"{CANARY_PREFIX}{number:06d}"
        return self.canaries[number] if number < len(self.canaries) else None

    @property
    def receivers(self) -> tuple[str, ...]:
        """Who gets each message of a batch: the last of the named canaries, or ids of their own."""
        if self.canaries:
            return self.canaries[len(self.canaries) - self.batch :]
        return tuple(f"{IDLE_PREFIX}{number:05d}" for number in range(self.batch))
