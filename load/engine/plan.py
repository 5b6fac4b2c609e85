"""What the engine is told: how it sends, and who each of its users is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from load.engine.frames import TAG_CHARS, Peer, SdkType
from verifier.judges.recorder import digest

WARM_UP_S: Final = 1.5
"""A connection gets no pushes in its first second or so (trap R2)."""

PING_S: Final = 24.0
"""The server gives up what it has read nothing from for 30 s."""

Address = Callable[[], tuple[str, Mapping[str, str]]]
"""Gives the URL and the headers of one more connection: a signature or a nonce may differ each time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A conversation to send to; `members` are all who must be able to read it, the sender too."""

    peer: Peer
    conversation: str
    members: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class UserPlan:
    """One user. `due_s` are the seconds after it is ready at which its messages are due; None for the closed model."""

    user_id: str
    address: Address
    targets: Sequence[Target]
    due_s: Iterator[float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EnginePlan:
    """How one process sends.

    Attributes:
        window: how many sends of one connection may be unanswered; more wait their turn (back-log).
        think_s: in the closed model, how long a user waits after an answer.
        ack_deadline_s: after so long a send's outcome is unknown, and its connection is given up.
        queue_max: how many due messages of one user wait at most; more are dropped and counted.
        outage_every_s, outage_share, outage_s, outage_slow: how often which share of the users loses its connection, for how long; see `outages`.
    """

    run_id: str
    worker: int
    text: str
    platform_id: int = 5
    sdk_type: SdkType = "js"
    gzipped: bool = False
    window: int = 16
    think_s: float = 0.0
    warm_up_s: float = WARM_UP_S
    ack_deadline_s: float = 10.0
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    queue_max: int = 10_000
    outage_every_s: float = 0.0
    outage_share: float = 1.0
    outage_s: float = 0.0
    outage_slow: bool = False

    @property
    def tag(self) -> bytes:
        """16 characters that begin the clientMsgID of every message of this run."""
        return tag_of(self.run_id)

    @property
    def digest(self) -> str:
        """What stands for the text in a journal."""
        return digest(self.text)


def tag_of(run_id: str) -> bytes:
    """See `EnginePlan.tag`."""
    return b"L" + hashlib.sha256(run_id.encode()).hexdigest()[: TAG_CHARS - 1].encode()
