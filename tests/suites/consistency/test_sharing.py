"""Workers of one session share a run of the verifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.consistency.judged import JudgedRun
from suites.consistency.sharing import once
from tests.verifier.render.samples import mixed_result


def test_workers_share_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second worker reads the first one's run with what is accepted. Without workers each call judges."""
    made: list[JudgedRun] = []

    def make() -> JudgedRun:
        made.append(JudgedRun(result=mixed_result(), accepted={"TOK-02": "nobody may tap"}))
        return made[-1]

    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    first = once(tmp_path, make)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    second = once(tmp_path, make)
    assert len(made) == 1
    assert second.accepted == first.accepted
    assert second.exit_code is first.exit_code
    assert [item.verdict for item in second.result.outcomes] == [item.verdict for item in first.result.outcomes]
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    once(tmp_path, make)
    assert len(made) == 2
