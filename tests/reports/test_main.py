"""`python -m reports`: exit codes and messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.__main__ import main
from reports.runs import write_run
from tests.verifier.render.samples import mixed_result
from verifier.model.verdict import ExitCode


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 with the path; 3 with nothing to join; 4 if the page cannot be written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["reports"])
    assert main() == ExitCode.USAGE
    assert "nothing to join" in capsys.readouterr().err
    path = write_run(tmp_path / "reports" / "out", mixed_result(), ExitCode.VIOLATED)
    assert main() == ExitCode.HOLDS
    assert "reports/out/report.html" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["reports", str(path), "--output", "/proc/report.html"])
    assert main() == ExitCode.UNDELIVERED
    assert "could not be written" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["reports", "--nope"])
    assert main() == ExitCode.USAGE
