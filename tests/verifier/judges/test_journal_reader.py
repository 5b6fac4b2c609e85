"""Reading a journal: incomplete, damaged and foreign files, and several recorders of one run."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from verifier.judges.journal import JournalError, JournalWriter
from verifier.judges.journal_reader import JournalReader, find_journal, merged
from verifier.judges.operation import OpPhase


def _writer(path: Path) -> JournalWriter:
    return JournalWriter(path, run_id="r1", kind="canary", stack="demo")


def test_an_unfinished_last_line_is_ignored_with_a_note(tmp_path: Path) -> None:
    """Wherever the last line is cut, the other lines are read."""
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


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    """The error names the line; no line is skipped silently."""
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


def test_reading_is_bounded_in_memory(tmp_path: Path) -> None:
    """A journal of several MB needs a fraction of its size."""
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


def test_a_file_that_is_not_a_journal_is_an_error(tmp_path: Path) -> None:
    """A foreign, empty, missing or newer file: each has its own message."""
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


def test_the_newest_journal_of_a_directory_is_found(tmp_path: Path) -> None:
    """A directory without journals gives None."""
    assert find_journal(tmp_path) is None
    assert find_journal(tmp_path / "j.jsonl") is None
    for number, name in enumerate(("canary-b.jsonl", "canary-a.jsonl", "load-c.jsonl")):
        _writer(tmp_path / name).close()
        os.utime(tmp_path / name, (number, number))
    assert find_journal(tmp_path) == tmp_path / "canary-a.jsonl"
    assert find_journal(tmp_path, "load") == tmp_path / "load-c.jsonl"
    assert find_journal(tmp_path / "canary-b.jsonl") == tmp_path / "canary-b.jsonl"


def test_journals_of_several_recorders_are_read_as_one(tmp_path: Path) -> None:
    """Ids of two files do not collide, and their clocks are aligned."""
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
