"""`verifier run`: every exit code, and which one is returned if several apply."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.verifier.commands.command_line import verifier
from tests.verifier.history.samples import outcome, result
from verifier.model.invariant import Severity
from verifier.model.verdict import ExitCode, RunResult, Verdict

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
PROFILE = 'stack = "s"\nphase = "baseline"\nhistory = "history.db"\ntiming.settle_s = 0\n[roles]\n'
OWN = """
import os, time
from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Severity
from verifier.proofs import Rule
from verifier.model.query import Rows
from verifier.model.verdict import Judgement, Verdict, Coverage

class Says(Rule):
    async def execute(self, context):
        import asyncio
        said = self.statement
        if said == "slow":
            await asyncio.sleep(60)
        if said == "full":  # from now on no file may become larger than the journal of the history is
            import resource
            said = "violated"
            resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize("history.db-wal"), resource.RLIM_INFINITY))
        if said == "broken":
            raise SystemError("wires crossed")
        if said == "inconclusive":
            return Judgement.inconclusive("could not know")
        return Judgement(verdict=Verdict(said), coverage=(Coverage(text="looked"),), findings_total=said == "violated")

def make(name, severity, says):
    @check(name, title=name, severity=severity, phase=Phase.BASELINE, row="ours")
    def build(profile):
        "Because."
        return Says(subject=Rows("x"), judge=lambda row: None, statement=says)

make("X-GREEN", Severity.INFO, "holds")
make("X-RED", Severity.MEDIUM, "violated")
make("X-GREY", Severity.HIGH, "inconclusive")
make("X-CRASH", Severity.HIGH, "broken")
make("X-SLOW", Severity.HIGH, "slow")
make("X-FULL", Severity.HIGH, "full")
"""


def start(tmp_path: Path, *arguments: str, profile: str = PROFILE) -> subprocess.Popen[str]:
    """Start `verifier run` with checks that return a given verdict."""
    (tmp_path / "stack.toml").write_text(profile)
    (tmp_path / "mine.py").write_text(OWN)
    command = [
        sys.executable,
        "-c",
        "from verifier.commands.cli import main; main()",
        "run",
        "--checks",
        "mine.py",
        *arguments,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)


def code(tmp_path: Path, *arguments: str, profile: str = PROFILE) -> int:
    """The exit code."""
    process = start(tmp_path, *arguments, profile=profile)
    out, errors = process.communicate(timeout=60)
    assert "Traceback" not in out + errors
    return process.returncode


def only(*names: str) -> list[str]:
    """Options that select these checks."""
    return [part for name in names for part in ("--only", name)]


UNWRITABLE = ("--json", "/proc/nowhere/out.json")
ACCEPT = PROFILE + '[[accept_inconclusive]]\ncheck = "X-GREY"\nreason = "no rights"\nexpires = 2999-01-01\n'
WAIVE = PROFILE + '[[waivers]]\ncheck = "X-RED"\nowner = "ann"\nreason = "known"\nexpires = EXPIRES\n'


@pytest.mark.parametrize(
    ("arguments", "profile", "expected"),
    [
        (only("X-GREEN"), PROFILE, 0),
        (only("X-RED"), PROFILE, 1),
        (only("X-GREY"), PROFILE, 2),
        (only("X-CRASH"), PROFILE, 2),
        (only("X-NONE"), PROFILE, 3),
        (["--only", "X-GREEN", "--resume", "--phase", "thaw"], PROFILE, 3),
        (only("X-GREEN"), PROFILE + "[budgets.user_db]\n", 3),
        (only("X-GREEN"), PROFILE.replace("history.db", "/proc/nowhere/history.db"), 3),
        ([*only("X-GREEN"), *UNWRITABLE], PROFILE, 4),
        ([*only("X-RED", "X-GREY"), *UNWRITABLE], PROFILE, 1),
        ([*only("X-GREY"), *UNWRITABLE], PROFILE, 2),
        (only("X-GREEN", "X-GREY"), PROFILE, 2),
        ([*only("X-RED"), "--fail-on", "C,H"], PROFILE, 0),
        ([*only("X-RED", "X-GREY"), "--fail-on", "C,H"], PROFILE, 2),
        (only("X-GREY"), ACCEPT, 0),
        (only("X-GREY", "X-RED"), ACCEPT, 1),
        (only("X-RED"), WAIVE.replace("EXPIRES", "2999-01-01"), 0),
        (only("X-RED"), WAIVE.replace("EXPIRES", "2020-01-01"), 1),
        ([*only("X-SLOW"), "--max-runtime", "0.2"], PROFILE, 2),
        ([*only("X-SLOW", "X-RED"), "--max-runtime", "0.5"], PROFILE, 1),
    ],
)
def test_exit_codes_and_their_order(tmp_path: Path, arguments: list[str], profile: str, expected: int) -> None:
    """The first of 1, 2, 4 is returned. Severities, accepted checks and waivers limit what counts. 3 is for errors before the run."""
    assert code(tmp_path, *arguments, profile=profile) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_exit_code_130_and_can_be_resumed(tmp_path: Path, number: signal.Signals) -> None:
    """A partial report is written and marked as interrupted. Checks that were judged are not judged again."""
    process = start(tmp_path, *only("X-RED", "X-SLOW"), "--json", "out.json")
    assert process.stdout is not None
    for line in process.stdout:
        if "X-RED" in line:
            break
    time.sleep(0.3)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 130
    document = json.loads((tmp_path / "out.json").read_text())
    assert (document["interrupted"], document["exit_code"], len(document["checks"])) == (True, 130, 1)
    assert code(tmp_path, *only("X-RED", "X-SLOW"), "--resume", "--max-runtime", "0.3", "--json", "again.json") == 1
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["run_id"] == document["run_id"]
    assert again["checks"][0]["ended_at"] == document["checks"][0]["ended_at"]
    assert any(note.startswith("resumed: the run started") for note in again["notes"])


def test_an_unexpected_exception_is_exit_code_70(tmp_path: Path) -> None:
    """It is reported as an internal error, without a traceback."""
    (tmp_path / "stack.toml").write_text(PROFILE)
    wreck = (
        "import verifier.engine.session as r\ndef f(*a, **k): raise RuntimeError('wires crossed')\nr.make_plan = f\n"
    )
    command = [sys.executable, "-c", f"{wreck}from verifier.commands.cli import main; main()", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 70
    assert "internal error: RuntimeError: wires crossed" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_exit_code_that_is_printed_is_the_one_that_is_returned(tmp_path: Path) -> None:
    """Also if a report could not be written."""
    process = start(tmp_path, *only("X-GREEN"), *UNWRITABLE)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "exit code 4" in out
    assert "exit code 0" not in out
    assert "/proc/nowhere/out.json could not be written" in errors


def test_a_full_disk_under_the_history_does_not_lose_the_reports(tmp_path: Path) -> None:
    """The run ends, says so, and writes what was judged; what could not be stored is not a usage error."""
    process = start(tmp_path, *only("X-FULL"), "--json", "out.json")
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (1, 2), errors
    assert "this run is not stored" in errors
    assert "Traceback" not in errors
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["exit_code"] == process.returncode
    assert any("not in the history" in note for note in document["notes"])


def test_json_on_standard_output_is_valid_in_every_encoding(tmp_path: Path) -> None:
    """A terminal that is not UTF-8 gets escapes."""
    profile = PROFILE.replace('stack = "s"', 'stack = "Zürich ☃"')
    (tmp_path / "stack.toml").write_text(profile, encoding="utf-8-sig")
    (tmp_path / "mine.py").write_text(OWN)
    arguments = ("run", "--checks", "mine.py", "--json", "-", "--only", "x-green,X-GREY")
    answer = verifier(*arguments, cwd=tmp_path, encoding="latin-1")
    assert answer.returncode == 2, answer.stderr
    assert json.loads(answer.stdout)["stack"] == "Zürich ☃"


def test_interrupted_takes_precedence() -> None:
    """An interrupted run returns 130, whatever it has found."""
    red = outcome(Verdict.VIOLATED)
    judged: RunResult = result("r", [red, outcome(Verdict.INCONCLUSIVE, check_id="X-1")])
    assert judged.exit_code() is ExitCode.VIOLATED
    assert judged.exit_code(frozenset({Severity.INFO})) is ExitCode.INCONCLUSIVE
    assert judged.exit_code(frozenset({Severity.INFO}), frozenset({"X-1"})) is ExitCode.HOLDS
    assert replace(judged, interrupted=True).exit_code() is ExitCode.INTERRUPTED
