"""The engine's input: how one process sends, and its users."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from load.config import Traffic
from load.engine.frames import TAG_CHARS, Peer
from verifier.judges.recorder import digest

WARM_UP_S: Final = 1.5
"""A connection gets no pushes in its first second or so [F119]."""

PING_S: Final = 24.0
"""The server closes a connection from which it has read nothing for 30 s [F115]."""

Address = Callable[[], tuple[str, Mapping[str, str]]]
"""Returns the URL and the headers of the next connection: a signature or a nonce may differ each time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A conversation to send to; `members` are all who must be able to read it, the sender included."""

    peer: Peer
    conversation: str
    members: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class UserPlan:
    """One user. `due_s` are the due times of its messages, in seconds after it is ready; None for the closed model."""

    user_id: str
    address: Address
    targets: Sequence[Target]
    due_s: Iterator[float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EnginePlan:
    """How one process sends.

    Attributes:
        traffic: the options of the run; the engine uses the window, the encoding, the think time and the outages.
        ack_deadline_s: after this time a send's outcome is unknown, and its connection is closed.
        queue_max: how many due messages of one user wait at most; more are dropped and counted.
    """

    run_id: str
    worker: int
    text: str
    traffic: Traffic = field(default_factory=Traffic)
    platform_id: int = 5
    warm_up_s: float = WARM_UP_S
    ack_deadline_s: float = 10.0
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    queue_max: int = 10_000

    @property
    def tag(self) -> bytes:
        """16 characters that begin the clientMsgID of every message of this run."""
        return tag_of(self.run_id)

    @property
    def digest(self) -> str:
        """The digest of the text, which represents it in a journal."""
        return digest(self.text)


def tag_of(run_id: str) -> bytes:
    """See `EnginePlan.tag`."""
    return b"L" + hashlib.sha256(run_id.encode()).hexdigest()[: TAG_CHARS - 1].encode()
