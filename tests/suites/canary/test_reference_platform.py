"""The canary on the reference platform: it holds in both modes, and detects a gateway that returns tokens."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.clients.platform_admin import PlatformAdmin
from fixtures.clients.world import WorldConfig
from fixtures.faults.edits import Edit, put_all
from fixtures.services.webhook_sink import running
from fixtures.stack.profile import profile_text
from fixtures.stack.stack import Stack
from suites.canary import command as canary
from verifier.commands.exit_codes import run_command
from verifier.judges.journal_reader import JournalReader
from verifier.judges.operation import OpPhase, calls

pytestmark = pytest.mark.long

BEFORE, AFTER = "beforeSendSingleMsg", "afterSendSingleMsg"
USERS = ("+4930111111101", "+4930111111102")


def _run(
    monkeypatch: pytest.MonkeyPatch, config: WorldConfig, directory: Path, *, phase: str, edit: Edit = str
) -> tuple[int, Path]:
    """Exit code and journal of a run on a world whose profile is in `phase`."""
    since = {name: datetime.now(UTC) for name in ("registered", "cutover", "frozen")}
    text = profile_text(config, phase=phase, since=since, canary_users=USERS)
    text = edit(text)
    profile = directory / f"{phase}.toml"
    profile.touch(mode=0o600)
    profile.write_text(text, encoding="utf-8")
    journal = directory / f"{phase}.jsonl"
    monkeypatch.setattr("sys.argv", ["canary", "--profile", str(profile), "--journal", str(journal), "--messages", "2"])
    return run_command(canary.app), journal


def test_a_healthy_platform_before_and_after_the_freeze(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixed: the old websocket accepts the canary and delivers nothing of OpenIM. Frozen: it refuses. No session is left."""
    with stack.new_world() as world:
        code, journal = _run(monkeypatch, world.config, tmp_path, phase="cutover")
        assert code == 0
        (probe,) = calls(JournalReader(journal), "ws_probe")
        assert (probe.phase, probe.last.number("delivered")) == (OpPhase.OK, 0)
        asyncio.run(_freeze(world.config))
        code, journal = _run(monkeypatch, world.config, tmp_path, phase="frozen")
        assert code == 0
        (probe,) = calls(JournalReader(journal), "ws_probe")
        assert probe.phase is OpPhase.FAIL
        assert "eyJ" not in journal.read_text()


def test_a_gateway_that_returns_tokens_is_detected(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The profile says `proxy`, the login contains a token: violated, and no file contains the token."""
    with stack.new_world(broker=False, platform_arguments=("--token-delivery", "login_response")) as world:
        code, journal = _run(monkeypatch, world.config, tmp_path, phase="cutover")
    assert code == 1
    output = capsys.readouterr().err
    assert "body of POST /auth/login" in output
    assert "eyJ" not in journal.read_text() + output


@pytest.mark.parametrize(("hooks", "code"), [((BEFORE, AFTER), 0), ((AFTER,), 1)], ids=["both on", "moderation off"])
def test_webhooks_with_a_real_receiver(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hooks: tuple[str, ...], code: int
) -> None:
    """OpenIM calls the receiver for each message and obeys its refusal; if the before-hook is off, WHK-01 reports it."""
    with running() as sink:
        settings = tmp_path / "webhooks.json"
        settings.write_text(json.dumps({"url": sink.url, **{name: {"enable": True} for name in hooks}}))
        declared = {
            "webhooks.enabled": [f"callback{name[0].upper()}{name[1:]}Command" for name in (BEFORE, AFTER)],
            "canary.options.webhook_sink": sink.url,
        }
        arguments = ("--webhooks", str(settings))
        with stack.new_world(broker=False, openim_arguments=arguments) as world:
            exit_code, journal = _run(monkeypatch, world.config, tmp_path, phase="cutover", edit=put_all(declared))
    assert exit_code == code
    assert {call.phase for call in calls(JournalReader(journal), "hook_watch")} == {OpPhase.OK}
    (denied,) = calls(JournalReader(journal), "hook_deny")
    assert denied.phase is (OpPhase.FAIL if BEFORE in hooks else OpPhase.OK)


async def _freeze(config: WorldConfig) -> None:
    async with PlatformAdmin(config) as admin:
        await admin.move_all()
        await admin.set_mode("frozen")
