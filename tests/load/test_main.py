"""The commands of `python -m load`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from load.__main__ import app
from tests.load.rest_runs import recorded, stored
from verifier.commands.exit_codes import run_command


def test_the_judge_command_and_its_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 accounted for, 1 violated, 3 usage; wrong input causes no traceback."""
    good = recorded(tmp_path / "a.columns", sends=1, stored=stored("r1.0.1"))
    bad = recorded(tmp_path / "b.columns", sends=1, stored=[])
    codes = []
    for arguments in ([str(good)], [str(bad)], [], [str(tmp_path / "absent")], ["--nonsense"]):
        monkeypatch.setattr(
            "sys.argv", ["load", "judge", *arguments, "--out-dir", str(tmp_path), "--settle-s", "0", "--quiet-s", "0"]
        )
        codes.append(run_command(app))
    assert codes == [0, 1, 3, 3, 3]
    assert "every acknowledged message is accounted for" in capsys.readouterr().out
    assert (tmp_path / "load-r1.json").exists()


def test_the_earlier_name_of_audit_is_a_hidden_alias() -> None:
    """`reread` still works, and the help names `audit` alone."""
    run = CliRunner().invoke
    assert run(app, ["reread", "--help"]).exit_code == 0
    listed = run(app, ["--help"]).output
    assert "audit" in listed
    assert "reread" not in listed
