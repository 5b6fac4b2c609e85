"""The first thing that a newcomer sees does what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures import demo


def test_every_verdict_of_the_demo_is_the_planned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer people: the healthy world holds, the breaches are named, the look-alikes are left alone; and there is a page."""
    monkeypatch.setattr(demo, "RUNS", tmp_path / "run")
    monkeypatch.setattr(demo, "REPORT", tmp_path / "demo.html")
    with demo.console.capture() as told:
        code = demo.main(["40"])
    assert code == 0, told.get()
    assert "every verdict is the planned one" in told.get()
    page = (tmp_path / "demo.html").read_text()
    assert "Frozen, with breaches and look-alikes planted" in page
