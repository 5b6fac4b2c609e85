"""The canary on the reference platform while its OpenIM misbehaves: each fault is found by its own invariant only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.clients.world import WorldConfig
from fixtures.stack.profile import profile_text, write_profile
from fixtures.stack.stack import Stack
from suites.canary import command as canary
from verifier.commands.exit_codes import run_command
from verifier.judges.journal_reader import JournalReader
from verifier.judges.operation import WEBSOCKET, OpPhase, calls
from verifier.model.verdict import Verdict
from verifier.profile import load_profile

pytestmark = pytest.mark.long

USERS = ("+4930111111201", "+4930111111202")


@pytest.fixture(scope="module")
def config(stack: Stack) -> Iterator[WorldConfig]:
    """A world whose OpenIM can be made to misbehave."""
    with stack.new_world(broker=False, openim_arguments=("--faults",)) as world:
        yield world.config


@pytest.fixture
def profile(config: WorldConfig) -> Path:
    """Its profile, in the middle of the move."""
    since = {name: datetime.now(UTC) for name in ("registered", "cutover")}
    return write_profile(config, profile_text(config, phase="cutover", since=since, canary_users=USERS))


def misbehave(config: WorldConfig, **switches: Any) -> None:
    """Set the switches of the world's OpenIM."""
    answer = httpx.post(f"{config.openim_api}/_double/faults", json=switches, trust_env=False)
    assert answer.json()["errCode"] == 0, answer.text


def struck(config: WorldConfig) -> list[str]:
    """What OpenIM says that it did wrong since the last call."""
    url = f"{config.openim_api}/_double/log"
    log = [str(entry["fault"]) for entry in httpx.get(url, trust_env=False).json()["data"] or []]
    httpx.delete(url, trust_env=False)
    return log


@pytest.mark.parametrize(
    ("switch", "violated", "message"),
    [
        ("", set(), "over OpenIM's WebSocket: 2 connections, 4 of 6 acknowledged sends, 12 pushes"),
        ("lose", {"MSG-04 delivery"}, "was acknowledged"),
        ("storeTwice", {"MSG-04 delivery"}, "was sent once"),
        ("reorder", {"MSG-04 order"}, "but it comes before it"),
        ("pushTwice", {"MQ-05 push once"}, "twice over one connection"),
        ("notPushed", set(), "did not arrive over an open connection"),
    ],
)
def test_each_fault_of_openim_is_found_by_its_own_invariant(
    config: WorldConfig,
    profile: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    switch: str,
    violated: set[str],
    message: str,
) -> None:
    """Acknowledged and never stored, stored twice, out of order, pushed twice: one case and one verdict each."""
    monkeypatch.setattr(canary, "ARRIVAL_S", 2.0)
    journal = tmp_path / "canary.jsonl"
    monkeypatch.setattr("sys.argv", ["canary", "-p", str(profile), "--journal", str(journal), "--messages", "3"])
    misbehave(config, **({switch: {"limit": 1}} if switch else {}))
    try:
        code = run_command(canary.app)
    finally:
        misbehave(config)
    assert struck(config) == ([switch] if switch else [])
    output = " ".join(capsys.readouterr().err.split())
    assert message in output
    judged = canary.judge(JournalReader(journal), load_profile(profile))
    assert {name for name, judgement in judged.items() if judgement.verdict is not Verdict.HOLDS} == violated
    assert code == (1 if violated else 0)
    sent = {str(call.invoke.value["channel"]) for call in calls(JournalReader(journal), "send")}
    assert sent == {WEBSOCKET, "platform"}
    assert [call.phase for call in calls(JournalReader(journal), "ws_watch")] == [OpPhase.OK] * 2
