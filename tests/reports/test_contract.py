"""The section of the contract suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.joined import newest_parts, read_part
from verifier.model.verdict import ExitCode


def contract(path: Path, *, reason: str) -> Path:
    """A parity table of one flow in which one of two cases differs."""
    difference = {"told": "a (/x): errCode = 1, recorded 0", "reason": reason}
    row = {
        "kind": "REST",
        "name": "f",
        "cases": 2,
        "equal": 1,
        "deviating": int(bool(reason)),
        "wrong": int(not reason),
        "differences": [difference],
        "healed": [],
    }
    at = "2026-01-05T12:00:00+00:00"
    document = {
        "format": "openim-ssot-verifier/contract",
        "version": 1,
        "server": "double",
        "started_at": at,
        "ended_at": at,
        "rows": [row],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(("reason", "code"), [("known", ExitCode.HOLDS), ("", ExitCode.VIOLATED)])
def test_a_parity_table_is_a_section(tmp_path: Path, reason: str, code: ExitCode) -> None:
    """An undeclared difference is a finding. A declared one is in the notes with its reason."""
    path = contract(tmp_path / "contract.json", reason=reason)
    assert newest_parts(tmp_path) == [path]
    section = read_part(path)
    (outcome,) = section.result.outcomes
    assert section.result.exit_code() is code
    assert [(one.seen, one.total) for one in outcome.judgement.coverage] == [(1, 2)]
    assert [one.summary for one in outcome.judgement.findings] == ["errCode = 1, recorded 0"] * (not reason)
    assert ("known" in " ".join(outcome.judgement.notes)) is bool(reason)
