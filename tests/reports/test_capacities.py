"""The sections of a capacity search and of a comparison with a baseline."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from load.experiments.baseline import Comparison, difference
from load.experiments.capacity import search
from load.results import Trial
from reports.capacities import read_capacity, read_comparison
from reports.joined import newest_parts, write_joined
from verifier.model.verdict import ExitCode


def _capacity(path: Path, *, code: int = 0) -> Path:
    trials = [
        {"per_s": 100.0, "outcome": "held", "figures": {"send_p99_ms": 4.0}},
        {
            "per_s": 200.0,
            "outcome": "broke",
            "why": ["send_p99_ms: 90, asked for 50"],
            "figures": {"send_p99_ms": 90.0},
        },
        {"per_s": 400.0, "outcome": "generator", "why": ["<b>busy</b>"], "figures": {}},
    ]
    document = {
        "format": "openim-ssot load capacity",
        "version": 1,
        "stack": "staging",
        "started_at": "2026-01-05T12:00:00+00:00",
        "ended_at": "2026-01-05T12:10:00+00:00",
        "exit_code": code,
        "told": "Sustained: 100 messages per second.\nBroken at 200: send_p99_ms.",
        "sustained_per_s": 100.0,
        "broken_per_s": 200.0,
        "limited_by_generator": False,
        "trials": trials,
        "objectives": {"send_p99_ms": 50},
    }
    path.write_text(json.dumps(document))
    return path


def _comparison(path: Path) -> Path:
    one = {"figure": "send p99 ms", "baseline": 10.0, "new": 20.0, "low": 1.9, "high": 2.1, "meaning": "worse"}
    document = {
        "format": "openim-ssot load comparison",
        "version": 1,
        "stack": "staging",
        "started_at": "2026-01-06T12:00:00+00:00",
        "ended_at": "2026-01-06T12:10:00+00:00",
        "runs": ["new"],
        "beside": ["old1", "old2"],
        "exit_code": 1,
        "differences": [one, {**one, "figure": "push p99 ms", "meaning": "same"}],
        "notes": ["of one run nobody knows"],
    }
    path.write_text(json.dumps(document))
    return path


def test_a_capacity_search_shows_its_rates_and_a_chart(tmp_path: Path) -> None:
    """The summary, each rate with its outcome, a mark for each measurement, and the thresholds."""
    write_joined([_capacity(tmp_path / "capacity-a.json")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for text in (
        "Sustained: 100 messages per second",
        "asked for 50",
        "threshold: send_p99_ms 50",
        "missed a threshold",
    ):
        assert text in page, text
    (svg,) = re.findall(r"<svg class=.chart.*?</svg>", page, re.S)
    tooltips = [item.findtext("title") for item in ElementTree.fromstring(svg) if "mark" in item.attrib["class"]]  # noqa: S314
    assert tooltips[:2] == ["100.0 per second: 4.0 ms, held", "200.0 per second: 90.0 ms, missed a threshold"]
    assert "<b>busy" not in page


def test_a_comparison_shows_what_is_worse(tmp_path: Path) -> None:
    """The verdict, the figures behind it, and the runs of both sides."""
    write_joined([_comparison(tmp_path / "compare-a.json")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for text in ("worse: send p99 ms", "1.90 to 2.10", "no real difference", "old1, old2", "of one run nobody knows"):
        assert text in page, text


def test_searches_and_comparisons_are_joined_by_default(tmp_path: Path) -> None:
    """Without arguments, `python -m reports` includes the newest search and the newest comparison."""
    parts = [_capacity(tmp_path / "capacity-a.json"), _comparison(tmp_path / "compare-a.json")]
    assert newest_parts(tmp_path) == parts


def test_what_the_commands_write_can_be_read(tmp_path: Path) -> None:
    """The sections accept the files of `load capacity` and `load compare`, not only those written by hand here."""
    found = search(lambda per_s: Trial(per_s=per_s, outcome="held" if per_s < 300 else "broke"), start_per_s=100)
    when = {"started_at": "2026-01-05T12:00:00+00:00", "ended_at": "2026-01-05T12:10:00+00:00"}
    section = read_capacity(found.to_json() | when | {"stack": "s"})
    assert section.exit_code is ExitCode.HOLDS
    differences = (difference("send p99 ms", [[10.0] * 3], [[20.0] * 3]),)
    beside = Comparison(stack="s", runs=("a",), beside=("b",), differences=differences, **when)
    assert read_comparison(json.loads(json.dumps(beside.to_json()))).exit_code is ExitCode.VIOLATED
