"""The judges over arrays give the same judgement as the judges over operations."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from load.journal.operations import operations
from load.journal.reader import ColumnReader
from load.judging.delivery import judge_columns
from load.judging.groups import pairs_of
from load.judging.loading import load_run
from load.judging.naming import name_delivery, name_order
from load.judging.order import judge_order_columns
from tests.load.journals import Read, Received, Send, reads, receptions, record, sends
from verifier.judges.delivery import DeliveryTally, judge_delivery
from verifier.judges.order import judge_order


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(sends, max_size=6),
    st.lists(receptions, max_size=14),
    st.lists(reads, max_size=6),
    st.sampled_from([None, 0.0, 1.0, 4.0]),
)
def test_judges_over_arrays_agree_with_judges_over_operations(
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[Send],
    seen: list[Received],
    read: list[Read],
    quiet_s: float | None,
) -> None:
    """For any small history both kinds of judges give the same numbers for each user, and the same problems."""
    path = tmp_path_factory.mktemp("j") / "a.columns"
    record(path, sent, seen, read)
    readers = [ColumnReader(path)]
    expected, expected_order = judge_delivery(operations(readers), quiet_s=quiet_s), judge_order(operations(readers))
    run = load_run(readers)
    pairs = pairs_of(run)
    delivered, ordered = judge_columns(run, pairs, settle_s=2.0, quiet_s=quiet_s), judge_order_columns(run, pairs)
    assert (delivered is None, ordered is None) == (expected is None, expected_order is None)
    if delivered is not None and expected is not None:
        report = name_delivery(readers, run, delivered)
        assert sorted(map(str, report.problems)) == sorted(map(str, expected.problems))
        for name in ("sent", "acked", "refused", "unknown_sends", "recovered_sends", "problems_total"):
            assert getattr(report, name) == getattr(expected, name), name
        # A user with nothing due and nothing received has an empty tally there, and none here.
        assert report.receivers == {
            user: tally for user, tally in expected.receivers.items() if tally != DeliveryTally()
        }
        assert report.failed_reads == expected.failed_reads
    if ordered is not None and expected_order is not None:
        judged = name_order(readers, run, ordered)
        assert sorted(map(str, judged.problems)) == sorted(map(str, expected_order.problems))
        assert (judged.seen, judged.problems_total) == (expected_order.seen, expected_order.problems_total)
