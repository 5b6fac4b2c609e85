"""The command `python -m suites.contract.openim`: comparing recordings, exit codes and error messages."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.services.openim_double import SECRET, running_double
from suites.contract.openim import __main__ as command
from suites.contract.openim.rest import recording
from suites.contract.openim.ws import recording as ws_recording


def _extract(directory: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """Write a recording of one flow and one session, with each line changed."""
    directory.mkdir()
    for path, keep in ((recording.RECORDING, '"flow":"boot"'), (ws_recording.RECORDING, '"session":"10-')):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            kept = [json.loads(line) for line in lines if keep in line]
        for row in kept:
            change(row)
        text = "".join(json.dumps(row) + "\n" for row in kept)
        (directory / path.name.removesuffix(".gz")).write_text(text, encoding="utf-8")
    return directory


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the command; returns the exit code and the output."""
    for name in ("OPENIM_API", "OPENIM_WS", "OPENIM_SECRET", "OPENIM_ADMIN"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["contract", *arguments])
        code = command.main()
        output = capsys.readouterr()
        return code, output.out + output.err

    return run


def test_a_recording_does_not_differ_from_itself(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    """The exit code is 0, and a sentence says so."""
    one = _extract(tmp_path / "one")
    code, output = run("diff", str(one), str(one))
    assert (code, "notice nothing" in output) == (0, True)


def _error_code(row: dict[str, Any]) -> None:
    if row.get("case") and isinstance(row["response"], dict):
        row["response"]["errCode"] = 77


def _status(row: dict[str, Any]) -> None:
    if row.get("case"):
        row["status"] = 418


def _no_close(row: dict[str, Any]) -> None:
    if row.get("kind") == "close" and row["from"] == "server" and "code" in row["decoded"]:
        row["raw_base64"] = "A+k="


def _no_session(row: dict[str, Any]) -> None:
    if row.get("session"):
        row["session"] = "99-another"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(_error_code, "errCode = 77"), (_status, "HTTP 418"), (_no_close, "close (line"), (_no_session, "is new")],
)
def test_differences_are_printed(
    tmp_path: Path, run: Callable[..., tuple[int, str]], change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    """The exit code is 1, and each difference is printed with its case or session."""
    code, output = run("diff", str(_extract(tmp_path / "old")), str(_extract(tmp_path / "new", change)))
    assert code == 1
    assert sentence in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "--openim-api", "http://127.0.0.1:1"], "cannot be reached"),
        (["replay", "--openim-api", "nowhere"], "is not a REST address"),
        (["replay", "--openim-ws", "ws://127.0.0.1:1"], "users are created over REST"),
        (["diff", "/nowhere", "double"], "there is no file /nowhere"),
        (["diff", __file__, __file__], "is not a recording"),
        (["diff", str(Path(__file__).parent), "double"], "contains neither"),
        (["record"], "--out"),
        (["compare"], "No such command"),
    ],
)
def test_an_unusable_argument_is_reported_in_a_sentence(
    run: Callable[..., tuple[int, str]], arguments: list[str], sentence: str
) -> None:
    """The exit code is 3, and the cause is printed without a traceback."""
    code, output = run(*arguments)
    assert code == 3
    assert sentence in output
    assert "Traceback" not in output


def test_a_live_server_is_checked_first(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    """A wrong secret and a port without a gateway are reported before the replay, and the secret is not printed."""
    with running_double(tmp_path / "log") as double:
        wrong = run("replay", "--openim-api", double.api_url, "--openim-secret", "a-wrong-one")
        other = run("replay", "--openim-api", double.api_url, "--openim-ws", double.api_url, "--openim-secret", SECRET)
    assert wrong[0] == other[0] == 3
    assert "Check the secret" in wrong[1]
    assert "unlike the gateway of OpenIM" in other[1]
    assert "a-wrong-one" not in wrong[1] + other[1]
