"""Writing a journal: it survives its recorder, is never overwritten, and contains no secret."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jwt
import pytest

from verifier.judges.journal import JournalError, JournalWriter
from verifier.judges.journal_reader import JournalReader
from verifier.judges.operation import OpPhase, calls

RECORD_FOREVER = """
import sys
from pathlib import Path
from verifier.judges.journal import JournalWriter
writer = JournalWriter(Path(sys.argv[1]), run_id="r1", kind="canary", stack="demo")
while True:
    writer.observe("alice", "receive", marker="m" * 300)
"""


def _writer(path: Path) -> JournalWriter:
    return JournalWriter(path, run_id="r1", kind="canary", stack="demo")


def _record(writer: JournalWriter, *, operations: int) -> None:
    for _ in range(operations):
        writer.observe("alice", "receive", marker="m" * 100)


def test_operations_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Header, calls, observations and any text are the same."""
    path = tmp_path / "j.jsonl"
    with _writer(path) as writer:
        first = writer.invoke("alice", "send", marker="zoë 🐤 \ud800", receivers=["bob"], n=3)
        writer.observe("bob", "receive", marker="x")
        writer.complete(OpPhase.OK, "alice", "send", first, message_id="42")
    reader = JournalReader(path)
    operations = list(reader)
    assert (reader.header.run_id, reader.header.kind, reader.header.stack) == ("r1", "canary", "demo")
    assert [(item.op, item.phase.value, item.line) for item in operations] == [
        ("send", "invoke", 2),
        ("receive", "ok", 3),
        ("send", "ok", 4),
    ]
    assert operations[0].value == {"marker": "zoë 🐤 \ud800", "receivers": ["bob"], "n": 3}
    (call,) = calls(operations, "send")
    assert (call.phase, call.last.text("message_id")) == (OpPhase.OK, "42")
    assert (reader.ended, reader.notes, reader.operations) == (True, (), 3)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_killed_recorder_loses_at_most_the_line_it_was_writing(tmp_path: Path) -> None:
    """After kill -9 in a busy loop, the journal can be read to its last complete line and says that it did not finish."""
    path = tmp_path / "j.jsonl"
    recorder = subprocess.Popen([sys.executable, "-c", RECORD_FOREVER, str(path)])
    deadline = time.monotonic() + 20
    while not path.exists() or path.stat().st_size < 100_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    recorder.send_signal(signal.SIGKILL)
    recorder.wait()
    reader = JournalReader(path)
    count = sum(1 for _ in reader)
    assert count > 200
    assert not reader.ended
    assert "did not finish" in reader.notes[-1]


def test_a_full_disk_is_reported_and_the_file_stays_valid(tmp_path: Path) -> None:
    """An incomplete write is undone, and what was recorded before can be judged."""
    path = tmp_path / "j.jsonl"
    writer = _writer(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(JournalError, match="cannot be continued"):
            _record(writer, operations=100)
        with pytest.raises(JournalError, match="Free the disk"):
            writer.observe("alice", "receive", marker="later")
        writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    reader = JournalReader(path)
    assert sum(1 for _ in reader) == writer.operations > 3
    assert reader.unfinished_bytes == 0
    assert not reader.ended


def test_a_disk_that_is_full_from_the_start_leaves_no_file(tmp_path: Path) -> None:
    """No part of a header is left, and the error says what to do."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(JournalError, match="Free the disk"):
            _writer(tmp_path / "j.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_enospc_is_reported_as_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC reads as "the disk is full"."""
    writer = _writer(tmp_path / "j.jsonl")
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(writer, "_fd", full)
            with pytest.raises(JournalError, match="the disk is full"):
                writer.observe("alice", "receive")
    finally:
        os.close(full)
    writer.close()


def test_journals_are_never_overwritten(tmp_path: Path) -> None:
    """A second recorder with the same path is refused."""
    path = tmp_path / "j.jsonl"
    _writer(path).close()
    with pytest.raises(JournalError, match="never overwritten"):
        _writer(path)


def test_a_closed_journal_refuses_operations(tmp_path: Path) -> None:
    """Recording after the end is an error; closing again is not."""
    writer = _writer(tmp_path / "j.jsonl")
    writer.close()
    writer.close()
    with pytest.raises(JournalError, match="is closed"):
        writer.observe("alice", "receive")


def test_threads_do_not_mix_lines(tmp_path: Path) -> None:
    """Eight threads record at once; every line is complete and every id unique."""
    path = tmp_path / "j.jsonl"
    with _writer(path) as writer:

        def record(name: str) -> None:
            for _ in range(200):
                writer.complete(OpPhase.OK, name, "send", writer.invoke(name, "send", text="x" * 500))

        threads = [threading.Thread(target=record, args=(f"user{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = list(calls(JournalReader(path), "send"))
    assert len(found) == 1600
    assert all(call.phase is OpPhase.OK and call.last.process == call.invoke.process for call in found)


def test_secrets_are_not_written(tmp_path: Path) -> None:
    """Tokens and passwords at any depth are not in the file."""
    path = tmp_path / "j.jsonl"
    token = jwt.encode({"UserID": "u1", "PlatformID": 2}, "s" * 32, algorithm="HS256")
    with _writer(path) as writer:
        writer.observe(
            "alice",
            "login",
            nested=[{"imToken": "planted-1", "Authorization": "planted-2", "error": f"refused {token} here"}],
            url="redis://user:planted-3@host/1",
            **{f"key {token}": 1},
        )
    text = path.read_text()
    assert "planted" not in text
    assert token not in text
    assert token.split(".")[1] not in text


def test_values_that_are_not_json_are_refused(tmp_path: Path) -> None:
    """The recorder gets the error at once, instead of a file that cannot be read."""
    writer = _writer(tmp_path / "j.jsonl")
    with pytest.raises(JournalError, match="cannot be written as JSON"):
        writer.observe("alice", "receive", value=object())
    with pytest.raises(JournalError, match="Record a digest"):
        writer.observe("alice", "receive", text="x" * (1 << 21))
    writer.close()
