"""A simple model of a recorded chat: messages with planted fates, and the operations that a recorder would write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import Operation, OpPhase

SECOND_NS = 1_000_000_000
SETTLE_S = 2.0


@dataclass
class Recording:
    """Builds operations by hand. Its clock moves only when `wait` is called."""

    operations: list[Operation] = field(default_factory=list)
    now_ns: int = SECOND_NS

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += round(seconds * SECOND_NS)

    def invoke(self, process: str, op: str, /, **value: Any) -> str:
        """As in `Recorder`."""
        call_id = str(len(self.operations) + 1)
        self._add(process, op, OpPhase.INVOKE, call_id, value)
        return call_id

    def complete(self, phase: OpPhase, process: str, op: str, call_id: str, /, **value: Any) -> None:
        """As in `Recorder`."""
        self._add(process, op, phase, call_id, value)

    def observe(self, process: str, op: str, /, **value: Any) -> None:
        """As in `Recorder`."""
        self._add(process, op, OpPhase.OK, str(len(self.operations) + 1), value)

    def close(self) -> None:
        """Does nothing."""

    def send(
        self, marker: str, *, sender: str, receivers: Sequence[str], outcome: OpPhase | None, at: str = "c1"
    ) -> None:
        """A send that takes 10 ms. With `outcome` None it has no completion."""
        call_id = self.invoke(
            sender,
            "send",
            marker=marker,
            conversation=at,
            sender=sender,
            receivers=list(receivers),
            digest=f"text of {marker}",
        )
        self.wait(0.01)
        if outcome is not None:
            self.complete(outcome, sender, "send", call_id, message_id=f"id of {marker}")
        self.wait(0.01)

    def read(self, receiver: str, found: Sequence[tuple[str, int]], *, complete: bool = True, at: str = "c1") -> None:
        """A read-back that shows (marker, seq) pairs. A marker that ends with `*` has another text."""
        call_id = self.invoke(receiver, "read_back", conversation=at, receiver=receiver)
        for marker, seq in found:
            name = marker.removesuffix("*")
            self.observe(
                receiver,
                "receive",
                marker=name,
                conversation=at,
                receiver=receiver,
                seq=seq,
                message_id=f"id of {name}",
                digest=f"text of {marker}",
                read=call_id,
                channel="pull",
            )
        self.wait(0.05)
        end = max((seq for _, seq in found), default=0)
        self.complete(OpPhase.OK, receiver, "read_back", call_id, begin=1, end=max(end, 10_000), complete=complete)

    def _add(self, process: str, op: str, phase: OpPhase, call_id: str, value: dict[str, Any]) -> None:
        self.operations.append(
            Operation(
                process=process,
                op=op,
                phase=phase,
                id=call_id,
                time_ns=self.now_ns,
                monotonic_ns=self.now_ns,
                value=value,
            )
        )
        self.now_ns += 1000


@dataclass(frozen=True)
class Fate:
    """What happens to one message: the outcome of its send, and for each receiver how many copies it has and whether they are altered."""

    sender: str
    outcome: OpPhase | None
    copies: dict[str, int]
    altered: frozenset[str]
    also_for: frozenset[str]


USERS = ("alice", "bob", "carol")

fates = st.builds(
    Fate,
    sender=st.sampled_from(USERS),
    outcome=st.sampled_from([OpPhase.OK, OpPhase.OK, OpPhase.OK, OpPhase.FAIL, OpPhase.INFO, None]),
    copies=st.fixed_dictionaries({name: st.sampled_from([0, 1, 1, 1, 2, 3]) for name in USERS}),
    altered=st.frozensets(st.sampled_from(USERS), max_size=1),
    also_for=st.frozensets(st.sampled_from(USERS)),
)


def receivers_of(fate: Fate) -> list[str]:
    """The receivers of a message: its sender, and those that the fate adds."""
    return sorted({fate.sender} | fate.also_for)


def recorded(messages: Sequence[Fate], *, wait_s: float = SETTLE_S + 1) -> Recording:
    """The recording of these fates: all sends one after the other, a pause, one complete read-back by every user."""
    recording = Recording()
    for number, fate in enumerate(messages):
        recording.send(f"m{number}", sender=fate.sender, receivers=receivers_of(fate), outcome=fate.outcome)
    recording.wait(wait_s)
    for user in USERS:
        found = [
            (f"m{number}" + ("*" if user in fate.altered else ""), number + 1 + copy * len(messages))
            for number, fate in enumerate(messages)
            for copy in range(fate.copies[user])
        ]
        recording.read(user, found)
    return recording


def call(recording: Recording, op: str, phase: OpPhase, before: dict[str, object], after: dict[str, object]) -> None:
    """Record an invocation of alice's with the values `before`, and its completion with the values `after`."""
    call_id = recording.invoke("alice", op, **before)
    recording.complete(phase, "alice", op, call_id, **after)


def judgement_of(judgement: JournalJudgement | None) -> JournalJudgement:
    """The judgement; fails if the judge found nothing of its kind."""
    assert judgement is not None
    return judgement
