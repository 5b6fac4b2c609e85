"""`verifier can-advance`: its messages, exit codes and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.verifier.commands.command_line import verifier
from tests.verifier.gate_profile import TEXT
from tests.verifier.history.samples import outcome
from verifier.checks.catalogue import load_checks
from verifier.history import History, RunKind
from verifier.model.verdict import RunResult

pytestmark = pytest.mark.long


def _write(tmp_path: Path, runs: int) -> None:
    (tmp_path / "stack.toml").write_text(TEXT + "[gate]\nhours = 0\nobserve_hours = 0\n")
    known = [item.id for item in load_checks()]
    with History.open(str(tmp_path / "verifier-history.db"), stack="s") as history:
        for number in range(runs):
            at = datetime.now(UTC) - timedelta(minutes=10 * (runs - number))
            with history.lock():
                history.begin(f"r{number}", "cutover", at, kind=RunKind.RUN)
                outcomes = tuple(replace(outcome(check_id=name), started_at=at, ended_at=at) for name in known)
                for item in outcomes:
                    history.record(item)
                history.finish(
                    RunResult(
                        run_id=f"r{number}", stack="s", phase="cutover", started_at=at, ended_at=at, outcomes=outcomes
                    )
                )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--to", "thaw"), 3, "there is no phase 'thaw'"),
        (("--to", "registered"), 3, "in phase cutover already"),
        (("--to", "decommissioned"), 3, "the next one is frozen"),
        ((), 3, "--to"),
    ],
)
def test_a_phase_that_is_not_the_next_is_exit_code_3(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """The message says which phase is possible."""
    _write(tmp_path, 0)
    answer = verifier("can-advance", *arguments, cwd=tmp_path)
    assert answer.returncode == code
    assert says in answer.stderr


def test_the_command_prints_unmet_conditions(tmp_path: Path) -> None:
    """With two runs a run is missing: exit code 1. With three, only the canary is unknown: exit code 2, also as JSON."""
    _write(tmp_path, 2)
    answer = verifier("can-advance", "--to", "frozen", cwd=tmp_path)
    assert answer.returncode == 1, answer
    assert "2 so far" in answer.stdout
    assert "no: 1 missing, 1 unknown" in answer.stdout
    (tmp_path / "verifier-history.db").unlink()
    _write(tmp_path, 3)
    answer = verifier("can-advance", "--to", "frozen", "--json", cwd=tmp_path)
    assert answer.returncode == 2, answer
    document = json.loads(answer.stdout)
    assert (document["may_advance"], document["exit_code"]) == (False, 2)
    assert [item["name"] for item in document["conditions"] if item["state"] != "met"] == [
        "the canary's journal is fresh"
    ]
