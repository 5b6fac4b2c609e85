"""Column journals and their judges: the same verdict as the judges that read one operation after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from load.journal.layout import FAIL, INFO, NO_SEQ, OK, Kind, message_number
from load.journal.operations import operations
from load.journal.reader import ColumnReader
from load.journal.writer import ColumnWriter
from load.judging.delivery import judge_columns
from load.judging.groups import pairs_of
from load.judging.loading import load_run
from load.judging.naming import name_delivery, name_order
from load.judging.order import judge_order_columns
from verifier.judges.delivery import Tally, judge_delivery
from verifier.judges.order import judge_order

USERS = ("a", "b", "c")
CHATS = (("si_a_b", ("a", "b")), ("sg_all", ("a", "b", "c")))
SECOND = 1_000_000_000


def writer(path: Path, worker: int = 0) -> ColumnWriter:
    """A journal with three users, two conversations, and a connection for each user."""
    journal = ColumnWriter(path, run_id="run", stack="test", worker=worker, digest="d" * 16)
    for name, members in CHATS:
        journal.conversation(name, members)
    for user in USERS:
        journal.event(Kind.CONNECTED, 1, journal.next_connection(), journal.user(user))
    return journal


sends = st.tuples(st.sampled_from([(0, 0), (1, 0), (0, 1), (2, 1)]), st.sampled_from([OK, OK, OK, FAIL, INFO, 0]))
sightings = st.tuples(
    st.integers(1, 9),  # message; those beyond the sends were never sent
    st.integers(0, 2),  # receiver
    st.one_of(st.integers(1, 6), st.just(NO_SEQ)),
    st.integers(0, 2),  # message id
    st.booleans(),  # by a read-back
    st.sampled_from([0, 0, 0, 1]),  # another text
)
reads = st.tuples(
    st.integers(0, 2), st.integers(0, 1), st.sampled_from([OK, OK, INFO, 0]), st.integers(0, 4), st.booleans()
)


def record(path: Path, sent: Sequence[object], seen: Sequence[object], read: Sequence[object]) -> None:
    """A small history: sends that overlap, sightings before and after reads begin, reads that fail or break off."""
    journal = writer(path)
    now = 10
    for count, ((user, chat), phase) in enumerate(sent, 1):  # type: ignore[misc]
        now += SECOND
        lane = journal.lane(user, chat)  # type: ignore[has-type]
        journal.event(Kind.SEND, now, lane, message_number(0, count), a=now)
        if phase:  # type: ignore[has-type]
            took = (count * 7919) % 3 * SECOND + 5
            journal.event(Kind.ACK, now + took, lane, message_number(0, count), phase, b=count)  # type: ignore[has-type]
    begun = []
    for number, (user, chat, phase, end, complete) in enumerate(read):  # type: ignore[misc]
        now += SECOND // 3
        journal.event(Kind.READ, now, user, number, a=chat)  # type: ignore[has-type]
        begun.append((user, number, phase, end, complete))  # type: ignore[has-type]
    for message, user, seq, message_id, pulled, altered in seen:  # type: ignore[misc]
        now += 1000
        mine = [number for reader, number, *_ in begun if reader == user]  # type: ignore[has-type]
        who, kind = (mine[0], Kind.PULLED) if pulled and mine else (user, Kind.PUSHED)  # type: ignore[has-type]
        journal.event(kind, now, who, message_number(0, message), 1, altered, seq, message_id)  # type: ignore[has-type]
    for user, number, phase, end, complete in begun:
        now += 1000
        if phase:
            journal.event(Kind.READ_END, now, user, number, phase, complete, 1, end)
    journal.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(sends, max_size=7), st.lists(sightings, max_size=16), st.lists(reads, max_size=5))
def test_columns_are_judged_as_operations_are(
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[object],
    seen: list[object],
    read: list[object],
) -> None:
    """Any small history: the same numbers for everybody, the same problems, in both ways of judging."""
    path = tmp_path_factory.mktemp("j") / "a.columns"
    record(path, sent, seen, read)
    readers = [ColumnReader(path)]
    expected, expected_order = judge_delivery(operations(readers)), judge_order(operations(readers))
    run = load_run(readers)
    pairs = pairs_of(run)
    delivered, ordered = judge_columns(run, pairs, settle_s=2.0), judge_order_columns(run, pairs)
    assert (delivered is None, ordered is None) == (expected is None, expected_order is None)
    if delivered is not None and expected is not None:
        report = name_delivery(readers, run, delivered, settle_s=2.0)
        assert sorted(map(str, report.problems)) == sorted(map(str, expected.problems))
        for name in ("sent", "acked", "refused", "unknown_sends", "recovered_sends", "problems_total"):
            assert getattr(report, name) == getattr(expected, name), name
        # Who had nothing due and saw nothing has an empty tally there, and none here.
        assert report.receivers == {user: tally for user, tally in expected.receivers.items() if tally != Tally()}
        assert report.failed_reads == expected.failed_reads
    if ordered is not None and expected_order is not None:
        judged = name_order(readers, run, ordered)
        assert sorted(map(str, judged.problems)) == sorted(map(str, expected_order.problems))
        assert (judged.seen, judged.problems_total) == (expected_order.seen, expected_order.problems_total)
