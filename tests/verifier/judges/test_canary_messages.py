"""What canaries sent long ago: from journals that are old enough and not too old, acknowledged and seen, or an error that says why not."""

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
    """The loop that the verifier runs on."""
    return "asyncio"


def profile(place: Path, more: str = "") -> Profile:
    """A profile whose canary leaves its journals there."""
    return parse_profile(f'stack = "s"\nphase = "baseline"\n[roles]\n[canary]\njournal = "{place}"\n{more}')


def flight(place: Path, name: str, *, hours: float, phase: OpPhase = OpPhase.OK, seen: bool = True) -> Path:
    """A journal of one message, so many hours old."""
    path = place / f"canary-{name}.jsonl"
    with JournalWriter(path, run_id=name, kind="canary", stack="s") as journal:
        scribe = MessageRecorder(journal)
        call = scribe.begin_send("one", marker=name, conversation="si_a_b", receivers=["one"], text=f"text {name}")
        scribe.end_send("one", call, phase)
        read = scribe.begin_read("one", "si_a_b")
        if seen:
            scribe.saw("one", marker=name, conversation="si_a_b", text=f"text {name}", seq=7, message_id="", read=read)
        scribe.end_read("one", read, begin=1, end=7, complete=True)
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


async def test_old_messages_are_told_with_their_places(tmp_path: Path) -> None:
    """Of yesterday's flights, the newest first; not of today's, and not of one that OpenIM no longer retains."""
    for name, hours in (("today", 1), ("yesterday", 25), ("before", 49), ("ancient", 365 * 24)):
        flight(tmp_path, name, hours=hours)
    rows = await read(CanaryMessages(profile(tmp_path)))
    assert [(row["marker"], row["place"]) for row in rows] == [("yesterday", "si_a_b:7"), ("before", "si_a_b:7")]
    assert rows[0]["digest"] == digest("text yesterday")


async def test_the_age_is_a_setting(tmp_path: Path) -> None:
    """A stack whose cache lives for an hour is judged after an hour."""
    flight(tmp_path, "today", hours=2)
    assert await read(CanaryMessages(profile(tmp_path))) == []
    assert len(await read(CanaryMessages(profile(tmp_path, "durable_after_s = 3600")))) == 1


async def test_only_what_was_promised_and_seen(tmp_path: Path) -> None:
    """A send without an answer, and one that nobody read back, promise nothing that could be broken here."""
    flight(tmp_path, "unknown", hours=25, phase=OpPhase.INFO)
    flight(tmp_path, "unseen", hours=25, seen=False)
    assert await read(CanaryMessages(profile(tmp_path))) == []


async def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """No journal at all, a damaged one, no canary: each is said, none is a silent green."""
    with pytest.raises(StoreError, match="no canary journal"):
        await read(CanaryMessages(profile(tmp_path)))
    path = flight(tmp_path, "damaged", hours=25)
    path.write_text(path.read_text().replace('"phase"', '"fase"'))
    with pytest.raises(StoreError, match="damaged"):
        await read(CanaryMessages(profile(tmp_path)))
    with pytest.raises(NotMapped):
        CanaryMessages(parse_profile('stack = "s"\nphase = "baseline"\n[roles]\n'))


async def test_journals_that_never_grow_old_are_admitted(tmp_path: Path) -> None:
    """A stack that clears them every day would never be warned: after the cutover's first day that is no silence."""
    flight(tmp_path, "young", hours=1)
    since = "phase = 'cutover'\nsince = {{ cutover = {} }}"
    for began, told in (("2020-01-01T00:00:00Z", True), ("2099-01-01T00:00:00Z", False)):
        text = f'stack = "s"\n{since.format(began)}\n[scope]\nkind = "all"\n[roles]\n[canary]\njournal = "{tmp_path}"\n'
        source = CanaryMessages(parse_profile(text))
        if told:
            with pytest.raises(StoreError, match="old enough"):
                await read(source)
        else:
            assert await read(source) == []
