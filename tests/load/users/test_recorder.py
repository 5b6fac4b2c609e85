"""The recorder of REST users: its journal is judged like that of WebSocket users."""

from __future__ import annotations

from pathlib import Path

from load.journal.layout import REST, marker_of
from load.journal.reader import ColumnReader, is_columns
from load.report import account_for
from load.users.openim import Stored
from load.users.recorder import RunRecorder
from tests.load.rest_runs import TEXT, StoredMessages, recorded, stored
from verifier.judges.operation import OpPhase
from verifier.model.verdict import ExitCode


def test_messages_of_others_are_ignored(tmp_path: Path) -> None:
    """Messages of another worker, of other runs and of other writers in the conversation cause no problem."""
    others = stored("r1.0.1", "r1.1.1", "r0.0.1", "", "hello")
    account = account_for([recorded(tmp_path / "a.columns", sends=1, stored=others)], settle_s=0)
    assert account.exit_code == ExitCode.HOLDS


def test_a_rest_run_writes_columns_with_latencies(tmp_path: Path) -> None:
    """The journal has the same format as over the WebSocket, names its channel, and yields latencies and a timeline."""
    path = recorded(tmp_path / "a.columns", sends=3, stored=stored("r1.0.1", "r1.0.2", "r1.0.3"))
    assert is_columns(path)
    assert ColumnReader(path).channel == REST
    account = account_for([path], settle_s=0)
    assert set(account.judgements) == {"delivery", "order"}
    assert set(account.latency_ms) == {"send"}
    assert sum(account.timeline["acked"]) == 3


def test_copies_of_a_batch_share_a_marker_and_have_numbers_of_their_own(tmp_path: Path) -> None:
    """A copy is identified by the marker and by its receiver's index in the batch."""
    recorder = RunRecorder(tmp_path / "a.columns", run_id="r1", worker=2, stack="test", text=TEXT)
    chats = [
        recorder.open_conversation(f"si_a_{name}", ("a", name), newest_seq=0, copy=copy)
        for copy, name in enumerate("bc")
    ]
    marker, numbers = recorder.begin_send("a", chats, late_s=0, batch=True)
    assert [marker_of(number) for number in numbers] == ["2.1", "2.2"]
    for chat, number in zip(chats, numbers, strict=True):
        recorder.end_send("a", chat, number, OpPhase.OK, message_id="", err_code=0)
    one_copy = StoredMessages([Stored(1, "", TEXT, marker)])
    recorder.read_all_back(one_copy, settle_s=0, quiet_s=0, deadline_s=0, sleep=lambda _: None)
    recorder.close()
    account = account_for([recorder.path], settle_s=0)
    assert account.exit_code is ExitCode.HOLDS
    assert account.delivery is not None
    assert account.delivery.count("received") == 4
