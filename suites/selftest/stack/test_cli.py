"""`python -m fixtures`: a stack in the background that is easy to find, to look at and to get rid of."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import background
from fixtures.__main__ import main, mask
from fixtures.deadline import Deadline
from fixtures.rundir import RunDir, read_processes

STORES = ("--stores-only", "--broker", "off")

Fixtures = Callable[..., "Result"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command said and returned."""

    code: int
    out: str
    err: str


@pytest.fixture
def fixtures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fixtures:
    """Run a command of the stack's command line in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return Result(code=code, out=captured.out, err=captured.err)

    return run


def wait_until_over(directory: Path) -> None:
    """Wait until the supervisor is gone: a kill takes a moment."""

    def over() -> None:
        if background.owner_of(directory) is not None:
            raise LookupError("it still runs")

    Deadline(5).wait_until("the supervisor to be gone", over)


def test_up_status_logs_down_and_again_after_a_crash(tmp_path: Path, fixtures: Fixtures) -> None:
    """The whole life of a stack, a dead server and a killed supervisor included."""
    here = ("--dir", str(tmp_path))
    try:
        up = fixtures("up", *here, *STORES)
        assert up.code == 0, up.err
        assert "The stack is up after" in up.out
        assert "postgresql://main_app:***@127.0.0.1" in up.out
        assert "world.json" in up.out
        assert fixtures("status", *here).code == 0
        assert "A stack is up in" in fixtures("up", *here, *STORES).out

        assert "Ready to accept connections" in fixtures("logs", "redis", *here, "--lines", "1").out
        assert "main/redis" in fixtures("logs", *here).out

        state = background.read_state(tmp_path)
        assert state is not None
        victim = next(service for service in state.services if service.name == "redis")
        os.kill(victim.pid, signal.SIGKILL)
        while victim.is_alive():
            time.sleep(0.01)
        status = fixtures("status", *here)
        assert status.code == 1
        assert status.out.count(" down ") == 1

        processes = read_processes(tmp_path)
        os.kill(state.supervisor_pid, signal.SIGKILL)
        wait_until_over(tmp_path)
        status = fixtures("status", *here)
        assert status.code == 1
        assert "Clean up with: python -m fixtures down" in status.out
        assert fixtures("up", *here, *STORES).code == 0
        assert not any(process.is_alive() for process in processes)
    finally:
        down = fixtures("down", *here)
    assert "Ended: supervisor" in down.out
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "worlds").exists()
    assert "Nothing runs" in fixtures("down", *here).out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("up", "--world", "a b"), "'a b' cannot name databases: use up to 31 lower-case letters"),
        (("up", "--broker", "maybe"), "'maybe' is not one of 'lazy', 'required', 'off'"),
        (("upp",), "No such command 'upp'"),
        (("logs", "kafka", "--dir", "{tmp}"), "No log named 'kafka'. There are: none."),
    ],
)
def test_wrong_use_is_a_sentence_and_exit_code_3(
    tmp_path: Path, fixtures: Fixtures, arguments: tuple[str, ...], sentence: str
) -> None:
    """What was wrong and what is allowed."""
    result = fixtures(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert result.code == 3
    assert sentence in result.err


def test_stack_that_cannot_start_says_why(tmp_path: Path, fixtures: Fixtures) -> None:
    """The supervisor's failure reaches the terminal, and nothing is left."""
    # A second is too short for RabbitMQ on any machine; where it is missing, that is the failure.
    result = fixtures("up", "--dir", str(tmp_path), "--deadline-s", "1", "--broker", "required")
    assert result.code == 1
    assert "Last lines of" in result.err or "make deps" in result.err
    assert "Traceback" not in result.err
    assert not any(process.is_alive() for process in read_processes(tmp_path))
    assert fixtures("status", "--dir", str(tmp_path)).code == 1


def test_directory_that_cannot_be_made_is_named(tmp_path: Path, fixtures: Fixtures) -> None:
    """A path below a file is refused in a sentence."""
    (tmp_path / "file").write_text("")
    result = fixtures("up", "--dir", str(tmp_path / "file" / "below"))
    assert result.code == 1
    assert str(tmp_path / "file") in result.err


def test_stack_that_is_just_starting_is_not_disturbed(tmp_path: Path, fixtures: Fixtures) -> None:
    """A second `up` in the same directory leaves the first one's marks alone."""
    run = RunDir.claim(tmp_path)
    result = fixtures("up", "--dir", str(tmp_path))
    assert result.code == 1
    assert "just starting or ending a stack" in result.err
    assert (tmp_path / "owner.json").exists()
    run.release()


def test_status_without_a_stack_says_how_to_start_one(tmp_path: Path, fixtures: Fixtures) -> None:
    """Exit code 1: nothing is up."""
    result = fixtures("status", "--dir", str(tmp_path))
    assert result.code == 1
    assert "python -m fixtures up" in result.out


def test_help_is_what_a_bare_call_shows(fixtures: Fixtures) -> None:
    """Each command in one line."""
    result = fixtures()
    assert result.code == 0
    for command in ("up", "status", "down", "logs", "demo"):
        assert f" {command} " in result.out


def test_passwords_in_urls_are_masked() -> None:
    """Of every scheme, and nothing else of the text."""
    text = "amqp://a:secret@h:1/v and postgresql://b@h/x at 12:30, mail me@home"
    assert mask(text) == "amqp://a:***@h:1/v and postgresql://b@h/x at 12:30, mail me@home"
