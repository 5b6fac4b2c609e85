"""Runs over REST without a server: what is sent is recorded, and a list of stored messages is read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fixtures.clients.openim_calls import OpenIMError
from load.users.openim import OpenIMApi, Stored
from load.users.recorder import RunRecorder
from verifier.judges.operation import OpPhase

TEXT = "canary text"


class StoredMessages(OpenIMApi):
    """An OpenIM with a list of stored messages; `broken`: it fails every call."""

    def __init__(self, stored: list[Stored], *, broken: bool = False) -> None:
        self.stored = stored
        self.broken = broken

    def max_seq(self, user_id: str, conversation: str) -> int:
        if self.broken:
            raise OpenIMError(500, "ServerInternalError", "")
        return len(self.stored)

    def pull(self, user_id: str, conversation: str, *, begin: int, end: int) -> Iterator[Stored]:
        yield from (item for item in self.stored if begin <= item.seq <= end)


def recorded(path: Path, *, sends: int, stored: list[Stored], broken: bool = False, worker: int = 0) -> Path:
    """The journal of a run in which user a sent to b, every send was acknowledged, and both read back."""
    recorder = RunRecorder(path, run_id="r1", worker=worker, stack="test", text=TEXT)
    conversation = recorder.open_conversation("si_a_b", ("a", "b"), newest_seq=0)
    for _ in range(sends):
        _, (number,) = recorder.begin_send("a", [conversation], late_s=0.001)
        recorder.end_send("a", conversation, number, OpPhase.OK, message_id=f"{number:032x}", err_code=0)
    recorder.read_all_back(
        StoredMessages(stored, broken=broken), settle_s=0, quiet_s=0, deadline_s=0, sleep=lambda _: None
    )
    recorder.close()
    return path


def stored(*markers: str, text: str = TEXT) -> list[Stored]:
    """Stored messages with these markers, in the order of their seqs."""
    return [Stored(seq, f"{seq:032x}", text, marker) for seq, marker in enumerate(markers, 1)]
