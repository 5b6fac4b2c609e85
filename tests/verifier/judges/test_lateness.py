"""Late is not lost: histories of a queue that stores behind its acknowledgements, with losses, judged at any moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from verifier.judges.delivery import judge_delivery
from verifier.judges.operation import Operation, OpPhase

QUIET_S = 5.0
SETTLE_S = 1.0
READER = "r"


@dataclass(frozen=True)
class Send:
    """A message. Sends of one sender may overlap: each enters the queue after `share` of the time until its answer.

    `fate`: "lost" takes no seq, "hole" takes one and is lost, "filled late" takes one and is readable some time after it.
    """

    pause_s: float
    sender: str
    took_s: float
    share: float
    lag_s: float
    fate: str


@dataclass
class Stored:
    """A message as the server has it: its seq (0: none), and from when on it can be read (None: never)."""

    marker: str
    seq: int
    readable_s: float | None


FILLED_S = 2.0
LAG_S_MAX = 2.5

sends = st.builds(
    Send,
    pause_s=st.floats(0, 1),
    sender=st.sampled_from(["a", "b"]),
    took_s=st.floats(0.01, 2),
    share=st.floats(0, 1),
    lag_s=st.floats(0, LAG_S_MAX),
    fate=st.sampled_from(["stored", "stored", "stored", "lost", "hole", "filled late"]),
)


class History:
    """A conversation: its messages in the order of the queue, and the operations of its journal."""

    def __init__(self, plan: list[Send]) -> None:
        self.operations: list[Operation] = []
        self.stored: list[Stored] = []
        self._numbers = 0
        queue: list[tuple[float, str, Send]] = []
        now_s = 1.0
        for number, send in enumerate(plan):
            now_s += send.pause_s
            marker = f"m{number}"
            value = {"marker": marker, "conversation": "c", "sender": send.sender, "receivers": [READER]}
            self._operation(send.sender, "send", OpPhase.INVOKE, f"s{number}", now_s, value)
            self._operation(send.sender, "send", OpPhase.OK, f"s{number}", now_s + send.took_s, {"message_id": marker})
            queue.append((now_s + send.share * send.took_s, marker, send))
        self._store(queue)
        self.sent_s = max(one.monotonic_ns for one in self.operations) / 1e9
        self.stored_s = max((one.readable_s or 0.0 for one in self.stored), default=0.0)

    def _store(self, queue: list[tuple[float, str, Send]]) -> None:
        free_s, seq = 0.0, 0
        for queued_s, marker, send in sorted(queue, key=lambda item: item[:2]):
            lost = send.fate in ("lost", "hole")
            free_s = max(free_s, queued_s) + (0.0 if lost else send.lag_s)  # one worker stores one after another
            seq += send.fate != "lost"
            at_s = free_s + (FILLED_S if send.fate == "filled late" else 0.0)
            self.stored.append(Stored(marker, 0 if send.fate == "lost" else seq, None if lost else at_s))
            if not lost:
                self._receive(marker, at_s, seq, read="")

    def read(self, at_s: float) -> None:
        """A complete read-back at a moment."""
        self._numbers += 1
        name = f"read{self._numbers}"
        self._operation(READER, "read_back", OpPhase.INVOKE, name, at_s, {"conversation": "c", "receiver": READER})
        readable = [one for one in self.stored if one.readable_s is not None and one.readable_s <= at_s]
        for one in readable:
            self._receive(one.marker, at_s, one.seq, read=name)
        # The newest position counts what took a seq, readable or not.
        newest = max((one.seq for one in readable), default=0)
        done: dict[str, Any] = {"begin": 1, "end": newest, "complete": True}
        self._operation(READER, "read_back", OpPhase.OK, name, at_s, done)
        self.pushes_until(at_s)

    def pushes_until(self, at_s: float) -> None:
        """Forget what happens after a moment: the journal ends there."""
        self.operations = [one for one in self.operations if one.monotonic_ns <= round(at_s * 1e9)]

    def _receive(self, marker: str, at_s: float, seq: int, *, read: str) -> None:
        self._numbers += 1
        value = {"marker": marker, "receiver": READER, "seq": seq, "read": read}
        self._operation(READER, "receive", OpPhase.OK, f"g{self._numbers}", at_s, value)

    def _operation(self, process: str, op: str, phase: OpPhase, name: str, at_s: float, value: dict[str, Any]) -> None:
        at_ns = round(at_s * 1e9)
        self.operations.append(
            Operation(process=process, op=op, phase=phase, id=name, time_ns=at_ns, monotonic_ns=at_ns, value=value)
        )

    def lost(self) -> set[str]:
        """What the judge calls lost."""
        report = judge_delivery(self.operations, settle_s=SETTLE_S, quiet_s=QUIET_S)
        if report is None:
            return set()
        assert report.count("expected") == report.count("received") + report.count("lost") + report.count("unknown")
        return {str(problem.key).split()[0] for problem in report.problems}


def _never(history: History) -> set[str]:
    return {one.marker for one in history.stored if one.readable_s is None}


@given(st.lists(sends, min_size=1, max_size=10), st.floats(0, 1))
def test_nothing_that_is_still_stored_is_called_lost(plan: list[Send], share: float) -> None:
    """However far the queue is behind, at whatever moment the run ends: it is never silent for the quiet time."""
    history = History(plan)
    history.read(share * max(history.sent_s, history.stored_s))
    assert history.lost() <= _never(history)


@given(st.lists(sends, min_size=1, max_size=10))
def test_everything_that_is_lost_is_found_once_the_server_is_quiet(plan: list[Send]) -> None:
    """Whether it took a seq or not; but a hole behind the newest message is not within reach of a read-back."""
    history = History(plan)
    history.read(max(history.sent_s, history.stored_s) + QUIET_S + SETTLE_S)
    assert history.lost() == _never(history)


@given(st.lists(sends, min_size=1, max_size=10))
def test_a_loss_that_was_overtaken_is_found_while_the_queue_is_busy(plan: list[Send]) -> None:
    """A later message of the same sender is readable, and no position is empty."""
    without_holes = [replace(one, fate="lost" if one.fate == "lost" else "stored") for one in plan]
    later = [Send(3.0, name, 0.01, 0.0, 1.1, "stored") for name in ("a", "b")]
    history = History([*without_holes, *later])
    history.read(history.stored_s)
    assert history.lost() == _never(history)
