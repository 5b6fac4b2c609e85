"""A run of the verifier, written to JSON and read back."""

from __future__ import annotations

import json
from pathlib import Path

from reports.runs import read_run, write_run
from tests.verifier.render.samples import mixed_result
from verifier.model.verdict import ExitCode
from verifier.render.json import to_json


def test_a_run_is_read_back_whole(tmp_path: Path) -> None:
    """Written, read and written again, the document is the same."""
    path = write_run(tmp_path, mixed_result(), ExitCode.VIOLATED)
    raw = json.loads(path.read_text())
    result, code = read_run(raw)
    assert to_json(result, exit_code=code) == raw
