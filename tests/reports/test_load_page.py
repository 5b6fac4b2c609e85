"""The page of a load run: pictures that hold what they were given, and nothing that could reach out or break in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from load.experiments.baseline import Comparison, difference
from load.experiments.capacity import search
from load.results import Trial
from reports.capacities import read_capacity, read_comparison
from reports.charts import heat, lines
from reports.joined import newest_parts, write_joined
from verifier.model.verdict import ExitCode

numbers = st.one_of(st.none(), st.floats(0, 1e9, allow_nan=False))


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.lists(numbers, max_size=30), max_size=5), st.booleans())
def test_lines_are_one_picture_whatever_they_show(series: dict[str, list[float | None]], log: bool) -> None:
    """Well-formed, a line for each series that has a value, every point within the picture."""
    svg = lines(series, step_s=1, unit="<ms>", title='say "hello"', log=log)
    root = ElementTree.fromstring(re.sub(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]", "", svg))  # noqa: S314 - our own
    drawn = [item for item in root.iter("path") if "line" in item.attrib["class"]]
    assert len(drawn) == sum(any(value is not None for value in line) for line in series.values())
    for path in drawn:
        places = re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path.attrib["d"])
        assert all(0 <= float(x) <= 920 and 0 <= float(y) <= 240 for x, y in places)


def test_losses_are_where_they_were_and_say_how_many() -> None:
    """A cell for each step with a loss, its number for whoever points at it; names are text."""
    svg = heat([("<b>one</b>", {0: 1, 9: 4}), ("two", {3: 2})], steps=10, step_s=5, title="losses")
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    cells = [item for item in root.iter("rect") if item.attrib["class"] == "cell"]
    assert [cell.findtext("title") for cell in cells] == ["1 at 0 s", "4 at 45 s", "2 at 15 s"]
    assert len({cell.attrib["y"] for cell in cells}) == 2
    assert "<b>" not in svg


def _load(path: Path, **changes: Any) -> Path:
    steps = {name: [2, 3] for name in ("due", "sent", "acked", "refused", "pushed", "lost")}
    percentiles = {"p50": [1.0, None], "p99": [9.0, 2.0]}
    timeline = {
        "step_s": 1,
        **steps,
        "send_ms": percentiles,
        "push_ms": percentiles,
        "losses": [{"conversation": "si_<x>_y", "lost": 5, "counts": [[0, 2], [1, 3]]}],
    }
    document = {
        "format": 1,
        "run_id": "20260105T120000Z",
        "stack": "s",
        "started_at": "2026-01-05T12:00:00+00:00",
        "ended_at": "2026-01-05T12:01:00+00:00",
        "exit_code": 2,
        "delivery": {"sent": 5, "deliveries": {"lost": 10}},
        "judgements": {},
        "doubts": ["the run was aborted: backlog"],
        "latency_ms": {"send": {"p50": 1.0}},
        "generator": "generator: 7% of a core",
        "timeline": timeline,
        "after": {"headline": "40 hold, 1 violated", "broken": ["MSG-01 No new messages"]},
    }
    path.write_text(json.dumps(document | changes))
    return path


def test_the_page_has_everything_and_needs_nothing(tmp_path: Path) -> None:
    """Pictures, figures, doubts and what the verifier said; no address to fetch from, and no markup of a conversation's name."""
    write_joined([_load(tmp_path / "load-a.json")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for text in ("Messages per second", "Latency", "Lost messages by conversation", "the run was aborted: backlog", "40 hold, 1 violated", "MSG-01 No new messages", "7% of a core"):  # fmt: skip
        assert text in page, text
    assert page.count("<svg") == 3
    assert not re.search(r"(src|href)=.?https?:|url\(", page)
    assert "<x>" not in page


def test_a_run_without_a_timeline_is_told_as_ever(tmp_path: Path) -> None:
    """Runs over REST have none."""
    write_joined([_load(tmp_path / "load-a.json", timeline={}, after=None)], tmp_path / "page.html")
    assert "<svg" not in (tmp_path / "page.html").read_text()


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


def test_a_capacity_search_has_its_rates_and_its_picture(tmp_path: Path) -> None:
    """What is sustained in words, each rate with its fate, a mark for each that was measured, and the objectives."""
    write_joined([_capacity(tmp_path / "capacity-a.json")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for text in (
        "Sustained: 100 messages per second",
        "asked for 50",
        "objective: send_p99_ms 50",
        "broke an objective",
    ):
        assert text in page, text
    (svg,) = re.findall(r"<svg class=.chart.*?</svg>", page, re.S)
    told = [item.findtext("title") for item in ElementTree.fromstring(svg) if "mark" in item.attrib["class"]]  # noqa: S314
    assert told[:2] == ["100.0 per second: 4.0 ms, held", "200.0 per second: 90.0 ms, broke an objective"]
    assert "<b>busy" not in page


def test_a_comparison_says_what_is_worse(tmp_path: Path) -> None:
    """Its verdict is the page's, with the figures that made it and the runs on both sides."""
    write_joined([_comparison(tmp_path / "compare-a.json")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for text in ("worse: send p99 ms", "1.90 to 2.10", "no real difference", "old1, old2", "of one run nobody knows"):
        assert text in page, text


def test_the_newest_of_each_is_joined_by_itself(tmp_path: Path) -> None:
    """Without names, `python -m reports` takes a search and a comparison, too; those that real commands wrote can be read."""
    parts = [_capacity(tmp_path / "capacity-a.json"), _comparison(tmp_path / "compare-a.json")]
    assert newest_parts(tmp_path) == parts


def test_what_the_commands_write_can_be_read(tmp_path: Path) -> None:
    """The reports of `load capacity` and `load compare` themselves, not what this file believes of them."""
    found = search(lambda per_s: Trial(per_s=per_s, outcome="held" if per_s < 300 else "broke"), start_per_s=100)
    when = {"started_at": "2026-01-05T12:00:00+00:00", "ended_at": "2026-01-05T12:10:00+00:00"}
    section = read_capacity(found.to_json() | when | {"stack": "s"})
    assert section.exit_code is ExitCode.HOLDS
    differences = (difference("send p99 ms", [[10.0] * 3], [[20.0] * 3]),)
    beside = Comparison(stack="s", runs=("a",), beside=("b",), differences=differences, **when)
    assert read_comparison(json.loads(json.dumps(beside.to_json()))).exit_code is ExitCode.VIOLATED
