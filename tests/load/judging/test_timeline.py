"""The timeline of a run has the same counts as the events of its journal."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from load.journal.layout import FAIL, INFO, OK, Kind, message_number
from load.journal.reader import ColumnReader
from load.journal.writer import ColumnWriter
from load.judging.delivery import judge_columns
from load.judging.groups import pairs_of
from load.judging.loading import load_run
from load.judging.timeline import timeline

MS = 1_000_000

sent = st.tuples(
    st.integers(0, 20_000),  # due, ms
    st.integers(0, 3_000),  # begun later by
    st.sampled_from([OK, OK, FAIL, INFO]),
    st.integers(1, 4_000),  # answered later by
    st.lists(st.integers(1, 5_000), max_size=2),  # pushed after due by
    st.booleans(),  # readable at the end
)


def _recorded(path: Path, messages: list[tuple[int, int, int, int, list[int], bool]]) -> dict[str, Any]:
    journal = ColumnWriter(path, run_id="r", stack="s", worker=0, digest="d")
    chat = journal.conversation("si_a_b", ("a", "b"))
    lane = journal.lane(journal.user("a"), chat)
    connection = journal.next_connection()
    journal.event(Kind.CONNECTED, 1, connection, journal.user("b"))
    for count, (due, late, phase, took, pushes, _) in enumerate(messages, 1):
        number = message_number(0, count)
        journal.event(Kind.SEND, (due + late) * MS, lane, number, a=due * MS)
        journal.event(Kind.ACK, (due + late + took) * MS, lane, number, phase, b=count)
        for after in pushes:
            journal.event(Kind.PUSHED, (due + after) * MS, connection, number, OK, 0, count, count)
    for user in ("a", "b"):
        read, at_ns = journal.next_read(), 100_000 * MS
        journal.event(Kind.READ, at_ns, journal.user(user), read, a=chat)
        for count, (*_, stays) in enumerate(messages, 1):
            if stays:
                journal.event(Kind.PULLED, at_ns, read, message_number(0, count), OK, 0, count, count)
        journal.event(Kind.READ_END, at_ns, journal.user(user), read, OK, 1, 1, len(messages))
    journal.close()
    run = load_run([ColumnReader(path)])
    delivered = judge_columns(run, pairs_of(run), settle_s=0.0)
    assert delivered is not None
    return timeline(run, delivered)


@given(st.lists(sent, min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_every_event_is_in_its_second(messages: list[tuple[int, int, int, int, list[int], bool]]) -> None:
    """Every event is counted in its second; a loss is counted where its message was sent, and percentiles are exact to 3 %."""
    with tempfile.TemporaryDirectory() as directory:
        found = _recorded(Path(directory) / "a.columns", messages)
    began = min(due for due, *_ in messages)
    assert found["step_s"] == 1

    def by_second(times: list[int]) -> dict[int, int]:
        return dict(Counter((at - began) // 1000 for at in times))

    expected = {
        "due": [due for due, *_ in messages],
        "sent": [due + late for due, late, *_ in messages],
        "acked": [due + late + took for due, late, phase, took, *_ in messages if phase == OK],
        "refused": [due + late + took for due, late, phase, took, *_ in messages if phase == FAIL],
        "pushed": [due + after for due, *_, pushes, _ in messages for after in pushes],
        "lost": [due + late for due, late, phase, _, _, stays in messages if phase == OK and not stays],
    }
    for name, times in expected.items():
        assert {step: count for step, count in enumerate(found[name]) if count} == by_second(times), name
    lost = sum(found["lost"])
    assert [row["lost"] for row in found["losses"]] == ([lost] if lost else [])
    for second, value in enumerate(found["send_ms"]["p50"]):
        took = [
            late + took
            for due, late, phase, took, *_ in messages
            if phase == OK and (due + late + took - began) // 1000 == second
        ]
        assert (value is None) == (not took)
        if value is not None:
            exact = float(np.percentile(took, 50, method="inverted_cdf"))
            assert abs(value - exact) <= 0.03 * exact


def test_a_long_run_has_few_points(tmp_path: Path) -> None:
    """A day has steps of minutes."""
    day = [(hour * 3_600_000, 0, OK, 1, [2], True) for hour in range(25)]
    found = _recorded(tmp_path / "a.columns", day)
    assert found["step_s"] == 300
    assert len(found["due"]) <= 300
    assert sum(found["acked"]) == sum(found["pushed"]) == 25
