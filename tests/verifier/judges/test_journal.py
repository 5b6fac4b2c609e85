"""The journal survives its recorder, says what is missing, never overwrites and never holds a secret."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import jwt
import pytest

from verifier.judges.journal import JournalError, JournalWriter
from verifier.judges.journal_reader import JournalReader, find_journal, merged
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


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Header, pairs, observations and any text come back as they went in."""
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
    """kill -9 in the middle of a busy loop leaves a journal that reads to its last whole line and says so."""
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


def test_an_unfinished_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    """Cut anywhere in the last line, the rest reads."""
    path = tmp_path / "j.jsonl"
    with _writer(path) as writer:
        writer.observe("alice", "receive", marker="m1")
        writer.observe("alice", "receive", marker="m2")
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n", 0, whole.rfind(b'{"end"') - 1) + 1
    for cut in (last + 1, last + 40):
        path.write_bytes(whole[:cut])
        reader = JournalReader(path)
        assert [item.text("marker") for item in reader] == ["m1"]
        assert reader.unfinished_bytes == cut - last
        assert "unfinished" in reader.notes[0]


def test_a_damaged_line_in_the_middle_is_no_basis_for_a_verdict(tmp_path: Path) -> None:
    """A line that a disk or an editor broke is named; nothing is silently skipped."""
    path = tmp_path / "j.jsonl"
    with _writer(path) as writer:
        for number in range(3):
            writer.observe("alice", "receive", marker=f"m{number}")
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = (b'{"process":"x"}\n', b"\xff\xfe\n", b"[]\n", b"\n")
    for line in damaged:
        path.write_bytes(b"".join([*lines[:2], line, *lines[3:]]))
        with pytest.raises(JournalError, match=r"line 3 .* is damaged"):
            list(JournalReader(path))
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(JournalError, match="counts 3 operations, the file contains 2"):
        list(JournalReader(path))


def test_a_full_disk_is_told_and_the_file_stays_whole(tmp_path: Path) -> None:
    """A write that breaks off is taken back; what was recorded before can be judged."""
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


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    """No half a header is left behind, and the sentence says what to do."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(JournalError, match="Free the disk"):
            _writer(tmp_path / "j.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_no_space_left_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """A second recorder on the same path is refused with a sentence."""
    path = tmp_path / "j.jsonl"
    _writer(path).close()
    with pytest.raises(JournalError, match="never overwritten"):
        _writer(path)


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    """Recording after the end is an error, closing again is not."""
    writer = _writer(tmp_path / "j.jsonl")
    writer.close()
    writer.close()
    with pytest.raises(JournalError, match="is closed"):
        writer.observe("alice", "receive")


def test_threads_do_not_tear_lines(tmp_path: Path) -> None:
    """Eight threads record at once; every line is whole and every id unique."""
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


def test_secrets_never_go_in(tmp_path: Path) -> None:
    """Tokens and passwords planted at any depth are gone from the file."""
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


def test_reading_is_bounded_in_memory(tmp_path: Path) -> None:
    """A journal of several MB is read in a fraction of its size."""
    path = tmp_path / "j.jsonl"
    with _writer(path) as writer:
        for _ in range(10_000):
            writer.observe("alice", "receive", marker="m" * 500)
    tracemalloc.start()
    count = sum(1 for _ in JournalReader(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < path.stat().st_size / 10


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    """Another file, an empty one, a missing one, a newer version: each has its sentence."""
    path = tmp_path / "j.jsonl"
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        JournalReader(path)
    for content in (b"", b'{"a": 1}\n', b"\xff\n", b"[1]\n"):
        path.write_bytes(content)
        with pytest.raises(JournalError, match="is not a journal"):
            JournalReader(path)
    path.write_text(json.dumps({"journal": "openim-ssot operations", "version": 99}) + "\n")
    with pytest.raises(JournalError, match="format version 99"):
        JournalReader(path)


def test_what_json_cannot_say_is_refused(tmp_path: Path) -> None:
    """A recorder's mistake is an error at once, not an unreadable file later."""
    writer = _writer(tmp_path / "j.jsonl")
    with pytest.raises(JournalError, match="cannot be written as JSON"):
        writer.observe("alice", "receive", value=object())
    with pytest.raises(JournalError, match="Record a digest"):
        writer.observe("alice", "receive", text="x" * (1 << 21))
    writer.close()


def test_the_newest_journal_of_a_directory(tmp_path: Path) -> None:
    """A directory stands for the canary's newest journal in it; nothing there is nothing."""
    assert find_journal(tmp_path) is None
    assert find_journal(tmp_path / "j.jsonl") is None
    for number, name in enumerate(("canary-b.jsonl", "canary-a.jsonl", "load-c.jsonl")):
        _writer(tmp_path / name).close()
        os.utime(tmp_path / name, (number, number))
    assert find_journal(tmp_path) == tmp_path / "canary-a.jsonl"
    assert find_journal(tmp_path, "load") == tmp_path / "load-c.jsonl"
    assert find_journal(tmp_path / "canary-b.jsonl") == tmp_path / "canary-b.jsonl"


def test_journals_of_several_recorders_are_read_as_one(tmp_path: Path) -> None:
    """Ids of two files do not clash, and their clocks are brought to one."""
    for name in ("a", "b"):
        with _writer(tmp_path / f"{name}.jsonl") as writer:
            read = writer.invoke(name, "read_back")
            writer.observe(name, "receive", read=read)
            writer.complete(OpPhase.OK, name, "read_back", read)
    readers = [JournalReader(tmp_path / f"{name}.jsonl") for name in ("a", "b")]
    operations = list(merged(readers))
    assert {item.id for item in operations} == {"1.1", "1.2", "2.1", "2.2"}
    assert [item.text("read") for item in operations if item.op == "receive"] == ["1.1", "2.1"]
    assert all(abs(item.monotonic_ns - item.time_ns) < 10**9 for item in operations)
