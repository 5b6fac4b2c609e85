"""Messages of earlier canary runs: acknowledged, read back, and neither too young nor too old; otherwise an error says why there are none."""

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
    """A profile whose canary leaves its journals in `place`."""
    return parse_profile(f'stack = "s"\nphase = "baseline"\n[roles]\n[canary]\njournal = "{place}"\n{more}')


def canary_run(place: Path, name: str, *, hours: float, phase: OpPhase = OpPhase.OK, seen: bool = True) -> Path:
    """A journal with one message, `hours` old."""
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


async def test_old_messages_are_listed_with_their_places(tmp_path: Path) -> None:
    """Those of yesterday's runs, the newest first; not today's, and none beyond OpenIM's retention."""
    for name, hours in (("today", 1), ("yesterday", 25), ("before", 49), ("ancient", 365 * 24)):
        canary_run(tmp_path, name, hours=hours)
    rows = await read(CanaryMessages(profile(tmp_path)))
    assert [(row["marker"], row["place"]) for row in rows] == [("yesterday", "si_a_b:7"), ("before", "si_a_b:7")]
    assert rows[0]["digest"] == digest("text yesterday")


async def test_the_age_is_a_setting(tmp_path: Path) -> None:
    """A stack whose cache expires after an hour is judged after an hour."""
    canary_run(tmp_path, "today", hours=2)
    assert await read(CanaryMessages(profile(tmp_path))) == []
    assert len(await read(CanaryMessages(profile(tmp_path, "durable_after_s = 3600")))) == 1


async def test_only_acknowledged_and_seen_messages_are_listed(tmp_path: Path) -> None:
    """A send without an answer and a message that was not read back are not listed."""
    canary_run(tmp_path, "unknown", hours=25, phase=OpPhase.INFO)
    canary_run(tmp_path, "unseen", hours=25, seen=False)
    assert await read(CanaryMessages(profile(tmp_path))) == []


async def test_missing_and_damaged_journals_are_errors(tmp_path: Path) -> None:
    """No journal, a damaged one, no canary: each raises an error."""
    with pytest.raises(StoreError, match="no canary journal"):
        await read(CanaryMessages(profile(tmp_path)))
    path = canary_run(tmp_path, "damaged", hours=25)
    path.write_text(path.read_text().replace('"phase"', '"fase"'))
    with pytest.raises(StoreError, match="damaged"):
        await read(CanaryMessages(profile(tmp_path)))
    with pytest.raises(NotMapped):
        CanaryMessages(parse_profile('stack = "s"\nphase = "baseline"\n[roles]\n'))


async def test_a_stack_without_old_journals_is_an_error_after_the_first_day(tmp_path: Path) -> None:
    """A stack that deletes its journals every day would never be judged."""
    canary_run(tmp_path, "young", hours=1)
    since = "phase = 'cutover'\nsince = {{ cutover = {} }}"
    for began, fails in (("2020-01-01T00:00:00Z", True), ("2099-01-01T00:00:00Z", False)):
        text = f'stack = "s"\n{since.format(began)}\n[scope]\nkind = "all"\n[roles]\n[canary]\njournal = "{tmp_path}"\n'
        source = CanaryMessages(parse_profile(text))
        if fails:
            with pytest.raises(StoreError, match="is older than"):
                await read(source)
        else:
            assert await read(source) == []
