"""Messages of older canary journals: old enough, not too old, acknowledged and received; otherwise an error with the
reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from verifier.judges.journal import JournalWriter
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import MessageRecorder, digest
from verifier.model.invariant import Row
from verifier.profile import NotMapped, Profile, parse_profile
from verifier.stores.builtin.canary_messages import CanaryMessages
from verifier.stores.errors import StoreError

pytestmark = pytest.mark.anyio

HOUR_NS = 3600 * 10**9


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


def profile(place: Path, more: str = "") -> Profile:
    """A profile whose canary journals are in `place`."""
    return parse_profile(f'stack = "s"\nphase = "baseline"\n[roles]\n[canary]\njournal = "{place}"\n{more}')


def journal_of(place: Path, name: str, *, hours: float, phase: OpPhase = OpPhase.OK, seen: bool = True) -> Path:
    """A canary journal with one message, some hours old."""
    path = place / f"canary-{name}.jsonl"
    with JournalWriter(path, run_id=name, kind="canary", stack="s") as journal:
        recorder = MessageRecorder(journal)
        call = recorder.begin_send("one", marker=name, conversation="si_a_b", receivers=["one"], text=f"text {name}")
        recorder.end_send("one", call, phase)
        read = recorder.begin_read("one", "si_a_b")
        if seen:
            recorder.saw(
                "one", marker=name, conversation="si_a_b", text=f"text {name}", seq=7, message_id="", read=read
            )
        recorder.end_read("one", read, begin=1, end=7, complete=True)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    aged = [
        {**line, "time_ns": line["time_ns"] - int(hours * HOUR_NS)} if "time_ns" in line else line for line in lines
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in aged))
    mtime = path.stat().st_mtime - hours * 3600
    os.utime(path, (mtime, mtime))
    return path


async def read(source: CanaryMessages) -> list[Row]:
    """All rows."""
    return [row async for chunk in source.chunks() for row in chunk]


async def test_rows_are_messages_between_the_minimum_age_and_the_retention(tmp_path: Path) -> None:
    """Messages of yesterday's journals are returned, newest first; not those of today, and not those past OpenIM's
    retention."""
    for name, hours in (("today", 1), ("yesterday", 25), ("before", 49), ("ancient", 365 * 24)):
        journal_of(tmp_path, name, hours=hours)
    rows = await read(CanaryMessages(profile(tmp_path)))
    assert [(row["marker"], row["place"]) for row in rows] == [("yesterday", "si_a_b:7"), ("before", "si_a_b:7")]
    assert rows[0]["digest"] == digest("text yesterday")


async def test_the_minimum_age_is_a_setting(tmp_path: Path) -> None:
    """With `durable_after_s` of an hour, messages are rows after an hour."""
    journal_of(tmp_path, "today", hours=2)
    assert await read(CanaryMessages(profile(tmp_path))) == []
    assert len(await read(CanaryMessages(profile(tmp_path, "durable_after_s = 3600")))) == 1


async def test_only_acknowledged_and_received_messages_are_rows(tmp_path: Path) -> None:
    """A send without an answer, and a message that nobody received, are not rows."""
    journal_of(tmp_path, "unknown", hours=25, phase=OpPhase.INFO)
    journal_of(tmp_path, "unseen", hours=25, seen=False)
    assert await read(CanaryMessages(profile(tmp_path))) == []


async def test_unreadable_journals_are_errors(tmp_path: Path) -> None:
    """No journal, a damaged one and a profile without canary are errors, never an empty relation."""
    with pytest.raises(StoreError, match="no canary journal"):
        await read(CanaryMessages(profile(tmp_path)))
    path = journal_of(tmp_path, "damaged", hours=25)
    path.write_text(path.read_text().replace('"phase"', '"fase"'))
    with pytest.raises(StoreError, match="damaged"):
        await read(CanaryMessages(profile(tmp_path)))
    with pytest.raises(NotMapped):
        CanaryMessages(parse_profile('stack = "s"\nphase = "baseline"\n[roles]\n'))


async def test_journals_that_are_removed_too_early_are_an_error(tmp_path: Path) -> None:
    """Where journals never reach the minimum age, the relation is an error from the first day after the cutover on."""
    journal_of(tmp_path, "young", hours=1)
    since = "phase = 'cutover'\nsince = {{ cutover = {} }}"
    for began, is_error in (("2020-01-01T00:00:00Z", True), ("2099-01-01T00:00:00Z", False)):
        text = f'stack = "s"\n{since.format(began)}\n[scope]\nkind = "all"\n[roles]\n[canary]\njournal = "{tmp_path}"\n'
        source = CanaryMessages(parse_profile(text))
        if is_error:
            with pytest.raises(StoreError, match="is older than"):
                await read(source)
        else:
            assert await read(source) == []
