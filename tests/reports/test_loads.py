"""The section of a load run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from reports.joined import write_joined


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


def test_the_page_is_complete_and_self_contained(tmp_path: Path) -> None:
    """Charts, figures, warnings and the verifier's result; nothing to fetch, and the names of conversations are escaped."""
    write_joined([_load(tmp_path / "load-a.json")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for text in ("Messages per second", "Latency", "Lost messages by conversation", "the run was aborted: backlog", "40 hold, 1 violated", "MSG-01 No new messages", "7% of a core"):  # fmt: skip
        assert text in page, text
    assert page.count("<svg") == 3
    assert not re.search(r"(src|href)=.?https?:|url\(", page)
    assert "<x>" not in page


def test_a_run_without_a_timeline_has_no_charts(tmp_path: Path) -> None:
    """Runs over REST have no timeline."""
    write_joined([_load(tmp_path / "load-a.json", timeline={}, after=None)], tmp_path / "page.html")
    assert "<svg" not in (tmp_path / "page.html").read_text()
