"""The canary distinguishes a healthy platform from each misbehaving one, by exit code and invariant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures.services.base import REPO_ROOT
from suites.canary import command as canary
from suites.canary import declared as canary_declared
from suites.canary import steps as canary_steps
from tests.suites.canary.platforms import IM_TOKEN
from verifier.commands.exit_codes import run_command
from verifier.judges.journal_reader import JournalReader
from verifier.model.verdict import Verdict
from verifier.profile import load_profile

ADAPTER = "tests.suites.canary.platforms:FakePlatform"
SOCKET_ADAPTER = "tests.suites.canary.platforms:FakeSocketPlatform"
HOOKED_ADAPTER = "tests.suites.canary.platforms:FakeHookedPlatform"
ALONE = "REST only, no WebSocket"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten waits that are meant for real servers."""
    monkeypatch.setattr(canary_steps, "_POLL_S", 0.01)
    monkeypatch.setattr(canary_declared, "_POLL_S", 0.01)
    monkeypatch.setattr(canary_declared, "_QUIET_S", 0.02)
    monkeypatch.setattr(canary, "SETTLE_S", 0.02)
    monkeypatch.setattr(canary, "ARRIVAL_S", 0.1)
    monkeypatch.setattr(canary, "WARM_UP_S", 0.01)


def profile(directory: Path, *faults: str, phase: str = "baseline", more: str = "", adapter: str = ADAPTER) -> Path:
    """A profile whose canary runs on the fake platform."""
    path = directory / "stack.toml"
    since = "" if phase == "baseline" else f"{phase} = 2026-01-01T00:00:00Z"
    path.write_text(
        f"""
        stack = "fake"
        phase = "{phase}"
        [since]
        {since}
        [scope]
        kind = "all"
        [roles]
        [canary]
        journal = "{directory / "canary.jsonl"}"
        adapter = "{adapter}"
        users = ["a", "b"]
        {more}
        [canary.options]
        faults = {list(faults)}
        """
    )
    return path


def run(monkeypatch: pytest.MonkeyPatch, path: Path, *more: str) -> int:
    """Run the command in this process."""
    monkeypatch.setattr("sys.argv", ["canary", "--profile", str(path), *more])
    return run_command(canary.app)


@pytest.mark.parametrize(
    ("faults", "phase", "code", "message"),
    [
        ((), "frozen", 0, "WS-01"),
        (("other jwt in login",), "frozen", 0, "holds"),
        (("pushes again",), "frozen", 0, "holds"),
        ((), "frozen", 0, ALONE),
        (("refuses one",), "frozen", 0, "1 of 10 sends were refused"),
        (("answers one late",), "frozen", 0, "1 of them were seen"),
        (("no sink", "no nonces"), "frozen", 0, "holds"),
        (("old websocket delivers",), "cutover", 0, "holds"),
        (("old websocket delivers",), "frozen", 1, "delivered 2 messages"),
        (("token in login",), "frozen", 1, "shows an imToken"),
        (("token in header",), "frozen", 1, "header x-token"),
        (("no token injected",), "frozen", 1, "without a valid imToken"),
        (("loses one",), "frozen", 1, "did not find it later"),
        (("doubles one",), "frozen", 1, "was sent once"),
        (("pushes twice",), "frozen", 1, "was pushed to canary-"),
        (("takes replays",), "frozen", 1, "accepted the same signed call twice"),
        (("second login kicks",), "frozen", 1, "the first session no longer reaches OpenIM"),
        (("second login hangs",), "frozen", 2, "TOK-07"),
        (("unreadable",), "frozen", 2, "could not be judged"),
        (("silent adapter",), "frozen", 2, "could not be judged"),
        (("unreachable",), "frozen", 2, "could not log in"),
        (("banned",), "frozen", 2, "this user is banned"),
    ],
)
def test_each_fault_is_reported_by_exit_code_and_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    faults: tuple[str, ...],
    phase: str,
    code: int,
    message: str,
) -> None:
    """0 for healthy platforms and look-alikes, 1 for breaches, 2 for what cannot be known."""
    assert run(monkeypatch, profile(tmp_path, *faults, phase=phase)) == code
    output = " ".join(capsys.readouterr().err.split())
    assert message in output
    journal = (tmp_path / "canary.jsonl").read_text()
    assert IM_TOKEN not in journal + output
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize(
    ("faults", "code", "invariant", "message"),
    [
        ((), 0, "", "2 connections, 6 of 10 acknowledged sends, 20 pushes"),
        (("no websocket",), 0, "", ALONE),
        (("misses a push",), 0, "", "2 of 20 messages did not arrive over an open connection"),
        (("refuses one",), 0, "", "1 of 10 sends were refused"),
        (("answers one late",), 0, "", "1 of them were seen"),
        (("refuses websocket",), 1, "GW-01", "refused OpenIM's WebSocket to a user who is signed in"),
        (("dead token at websocket",), 1, "GW-01", "without a valid imToken"),
        (("token in handshake",), 1, "GW-01", "header x-token of GET /ws"),
        (("token in frame",), 1, "GW-01", "body of frame"),
        (("believes anybody",), 1, "GW-01", "let canary-1 act as canary-2"),
        (("pushes twice over one connection",), 1, "MQ-05", "twice over one connection"),
        (("ours and openim's",), 1, "MQ-05", "was pushed to canary-"),
        (("loses one",), 1, "MSG-04", "did not find it later"),
        (("doubles one",), 1, "MSG-04", "was sent once"),
        (("websocket away",), 2, "GW-01", "could not be judged"),
        (("drops the connection",), 2, "MQ-05", "could not be judged"),
    ],
)
def test_each_fault_of_a_websocket_is_reported_by_its_own_invariant(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    faults: tuple[str, ...],
    code: int,
    invariant: str,
    message: str,
) -> None:
    """Over OpenIM's WebSocket as by REST: one fault, one invariant, and the coverage names the channel."""
    path = profile(tmp_path, *faults, phase="frozen", adapter=SOCKET_ADAPTER)
    assert run(monkeypatch, path) == code
    output = " ".join(capsys.readouterr().err.split())
    assert message in output
    assert IM_TOKEN not in (tmp_path / "canary.jsonl").read_text() + output
    judged = canary.judge(JournalReader(tmp_path / "canary.jsonl"), load_profile(path))
    named = {name.split()[0] for name, judgement in judged.items() if judgement.verdict is not Verdict.HOLDS}
    assert named == ({invariant} if invariant else set())


@pytest.mark.parametrize(
    ("faults", "verdict", "message"),
    [
        ((), Verdict.HOLDS, ""),
        (("loses a hook",), Verdict.HOLDS, "not called for 1 of 10 messages"),
        (("cannot refuse",), Verdict.HOLDS, ""),
        (("hooks off",), Verdict.VIOLATED, "0 of 10"),
        (("ignores hooks",), Verdict.VIOLATED, "acknowledged"),
        (("receiver away",), Verdict.INCONCLUSIVE, "could not be judged"),
    ],
)
def test_webhooks_are_judged_if_the_adapter_can_query_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: tuple[str, ...], verdict: Verdict, message: str
) -> None:
    """Webhooks are joined with the messages, and a refusal is tried; other judgements are not affected."""
    path = profile(tmp_path, *faults, phase="frozen", adapter=HOOKED_ADAPTER)
    with path.open("a") as file:
        file.write('\n[webhooks]\nenabled = ["callbackAfterSendSingleMsgCommand"]\n')
    run(monkeypatch, path)
    judged = canary.judge(JournalReader(tmp_path / "canary.jsonl"), load_profile(path))
    hooks = judged.pop("WHK-01 webhooks")
    assert hooks.verdict is verdict
    assert message in " ".join([hooks.reason, *hooks.notes, *(problem.actual for problem in hooks.problems)])
    assert {judgement.verdict for judgement in judged.values()} == {Verdict.HOLDS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adapter": "tests.suites.canary.platforms:Absent"}, "cannot be loaded"),
        ({"adapter": "no.such.module:X"}, "cannot be loaded"),
        ({"adapter": "no-such-entry-point"}, "openim_ssot.adapters"),
        ({"adapter": "tests.suites.canary.platforms:class_that_fails"}, "is not a factory"),
        ({"adapter": "fixtures.clients.adapter:ReferencePlatform"}, "[roles.gateway]"),
        ({"adapter": ""}, "canary.adapter is not set"),
    ],
)
def test_an_unusable_profile_is_a_usage_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    message: str,
) -> None:
    """Exit 3 with what is wrong and what is expected; nothing is written to the stack or to disk."""
    assert run(monkeypatch, profile(tmp_path, adapter=change["adapter"])) == 3
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "canary.jsonl").exists()


def test_without_canary_or_with_one_user_it_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It needs two reserved users, and a profile in which it is switched on."""
    path = profile(tmp_path)
    text = path.read_text()
    path.write_text(text.replace('users = ["a", "b"]', 'users = ["a"]'))
    assert run(monkeypatch, path) == 3
    path.write_text(text.split("[canary]")[0])
    assert run(monkeypatch, path) == 3
    assert run(monkeypatch, tmp_path / "absent.toml") == 3
    assert run(monkeypatch, path, "--nonsense") == 3
    output = " ".join(capsys.readouterr().err.split())
    assert "lists 1 users" in output
    assert "the canary is off" in output
    assert "there is no profile" in output


def test_a_directory_keeps_a_limited_number_of_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is a separate file; old ones are deleted, other files stay."""
    monkeypatch.setattr(canary, "JOURNALS_KEPT", 2)
    path, journals = profile(tmp_path), tmp_path / "journals"
    journals.mkdir()
    (journals / "load-x.jsonl").write_text("somebody else's")
    for _ in range(3):
        assert run(monkeypatch, path, "--journal", str(journals), "--messages", "1") == 0
    assert len(list(journals.glob("canary-*.jsonl"))) == 2
    assert (journals / "load-x.jsonl").exists()


def test_a_new_run_replaces_the_journal_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file always has one complete run: the latest, even if that was interrupted."""
    assert run(monkeypatch, profile(tmp_path)) == 0
    first = JournalReader(tmp_path / "canary.jsonl").header.run_id
    assert run(monkeypatch, profile(tmp_path, "unreachable")) == 2
    reader = JournalReader(tmp_path / "canary.jsonl")
    assert reader.header.run_id != first
    assert [operation.op for operation in reader] == ["login", "login"]
    assert reader.ended


def test_a_journal_that_cannot_be_written_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fails before anything is done on the stack."""
    (tmp_path / "file").write_text("")
    assert run(monkeypatch, profile(tmp_path), "--journal", str(tmp_path / "file" / "x.jsonl")) == 3
    assert "cannot be created" in " ".join(capsys.readouterr().err.split())


def test_the_journal_gives_the_same_verdicts_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdicts come from the journal only."""
    path = profile(tmp_path, "takes replays", phase="frozen")
    assert run(monkeypatch, path) == 1
    judged = canary.judge(JournalReader(tmp_path / "canary.jsonl"), load_profile(path))
    assert [name for name, judgement in judged.items() if judgement.problems] == ["KEEP-01 nonce"]


def test_an_interrupted_run_leaves_its_journal(tmp_path: Path) -> None:
    """Ctrl-C: exit 130, and the journal has what was recorded so far."""
    path = profile(tmp_path, "hangs")
    command = [sys.executable, "-m", "suites.canary", "--profile", str(path)]
    process = subprocess.Popen(command, cwd=REPO_ROOT, env=dict(os.environ), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not [part for part in tmp_path.glob(".*.part") if part.stat().st_size > 300]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 130, log
    assert "Traceback" not in log
    assert [operation.op for operation in JournalReader(tmp_path / "canary.jsonl")][:1] == ["login"]
