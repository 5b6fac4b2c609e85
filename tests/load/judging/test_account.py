"""Column journals and their judges: the same verdict as the judges that read one operation after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from load.journal.layout import FAIL, INFO, NO_SEQ, OK, SLOT_BYTES, Kind, message_number
from load.journal.operations import operations
from load.journal.reader import ColumnReader
from load.journal.writer import ColumnWriter
from load.judging.delivery import judge_columns
from load.judging.groups import pairs_of
from load.judging.loading import load_run
from load.judging.naming import name_delivery, name_order
from load.judging.order import judge_order_columns
from verifier.judges.delivery import DeliveryTally, judge_delivery
from verifier.judges.journal import JournalError
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


@dataclass(frozen=True)
class Send:
    """A send and its answers, in order: OK, FAIL, INFO; none for one that stays open."""

    lane: tuple[int, int]
    answers: tuple[int, ...]
    took_s: int


@dataclass(frozen=True)
class Sight:
    """A message that somebody saw; some of them were never sent."""

    message: int
    receiver: int
    seq: int
    message_id: int
    read: int | None
    altered: bool


@dataclass(frozen=True)
class Read:
    """A read-back: `phase` 0 has no end."""

    user: int
    chat: int
    phase: int
    begin: int
    end: int
    complete: bool
    after_s: int


sends = st.builds(
    Send,
    lane=st.sampled_from([(0, 0), (1, 0), (0, 1), (2, 1)]),
    answers=st.sampled_from([(OK,), (OK,), (OK,), (FAIL,), (INFO,), (), (FAIL, OK), (OK, FAIL)]),
    took_s=st.integers(0, 3),
)
sights = st.builds(
    Sight,
    message=st.integers(1, 5),
    receiver=st.integers(0, 2),
    seq=st.one_of(st.integers(1, 4), st.just(NO_SEQ)),
    message_id=st.integers(0, 2),
    read=st.one_of(st.none(), st.integers(0, 3)),
    altered=st.sampled_from([False, False, False, True]),
)
reads = st.builds(
    Read,
    user=st.integers(0, 2),
    chat=st.integers(0, 1),
    phase=st.sampled_from([OK, OK, OK, INFO, 0]),
    begin=st.integers(1, 2),
    end=st.integers(1, 4),
    complete=st.sampled_from([True, True, True, False]),
    after_s=st.integers(0, 2),
)


def record(path: Path, sent: Sequence[Send], seen: Sequence[Sight], read: Sequence[Read]) -> None:
    """A small history: sends that overlap, sightings, reads that come soon or late, fail or break off."""
    journal = writer(path)
    now = 10
    for count, send in enumerate(sent, 1):
        now += SECOND
        lane, number = journal.lane(*send.lane), message_number(0, count)
        journal.event(Kind.SEND, now, lane, number, a=now)
        for later, phase in enumerate(send.answers):
            journal.event(Kind.ACK, now + send.took_s * SECOND + 5 + later, lane, number, phase, b=count)
    for place, one in enumerate(read):
        now += one.after_s * SECOND
        journal.event(Kind.READ, now, one.user, place, a=one.chat)
    for sight in seen:
        now += 1000
        mine = [place for place, one in enumerate(read) if one.user == sight.receiver]
        pulled = sight.read is not None and bool(mine)
        who = mine[(sight.read or 0) % len(mine)] if pulled else sight.receiver
        kind, number = Kind.PULLED if pulled else Kind.PUSHED, message_number(0, sight.message)
        journal.event(kind, now, who, number, OK, int(sight.altered), sight.seq, sight.message_id)
    for place, one in enumerate(read):
        if one.phase:
            journal.event(Kind.READ_END, now + 1, one.user, place, one.phase, int(one.complete), one.begin, one.end)
    journal.close()


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(sends, max_size=6), st.lists(sights, max_size=14), st.lists(reads, max_size=6))
def test_columns_are_judged_as_operations_are(
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[Send],
    seen: list[Sight],
    read: list[Read],
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
        assert report.receivers == {
            user: tally for user, tally in expected.receivers.items() if tally != DeliveryTally()
        }
        assert report.failed_reads == expected.failed_reads
    if ordered is not None and expected_order is not None:
        judged = name_order(readers, run, ordered)
        assert sorted(map(str, judged.problems)) == sorted(map(str, expected_order.problems))
        assert (judged.seen, judged.problems_total) == (expected_order.seen, expected_order.problems_total)


def test_a_journal_that_breaks_off_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    """A killed recorder: whole events count, half of one does not, and the end is missed."""
    path = tmp_path / "a.columns"
    record(path, [Send((0, 0), (OK,), 0)] * 3, [], [])
    whole = path.read_bytes()
    for size in range(len(whole) - 12 * SLOT_BYTES, len(whole)):
        cut = tmp_path / "cut.columns"
        cut.write_bytes(whole[:size])
        reader = ColumnReader(cut)
        events = sum(map(len, reader.batches()))
        assert not reader.ended
        assert reader.unfinished_bytes == size % SLOT_BYTES
        assert events <= 9
    reader = ColumnReader(path)
    assert sum(map(len, reader.batches())) == reader.events == 9
    assert reader.ended


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    """An event of no kind, or fewer events than the end says: of such a file nothing is judged."""
    path = tmp_path / "a.columns"
    record(path, [Send((0, 0), (OK,), 0)], [], [])
    whole = path.read_bytes()
    at = next(at for at in range(0, len(whole), SLOT_BYTES) if whole[at] == Kind.ACK)
    for damaged, says in (
        (whole[:at] + b"\x20" + whole[at + 1 :], "no known kind"),
        (whole[:at] + whole[at + SLOT_BYTES :], "says that it holds"),
    ):
        other = tmp_path / "b.columns"
        other.write_bytes(damaged)
        with pytest.raises(JournalError, match=says):
            list(ColumnReader(other).batches())


def test_one_number_for_two_sends_is_refused(tmp_path: Path) -> None:
    """Nothing could be told apart."""
    path = tmp_path / "a.columns"
    journal = writer(path)
    for _ in range(2):
        journal.event(Kind.SEND, 5, journal.lane(0, 0), message_number(0, 1), a=5)
    journal.close()
    with pytest.raises(JournalError, match="belongs to two sends"):
        load_run([ColumnReader(path)])


def test_what_a_killed_recorder_could_not_write_down_accuses_nobody(tmp_path: Path) -> None:
    """A message of another worker that its cut journal does not hold, seen here: not unexpected, but said."""
    for worker in (0, 1):
        journal = writer(tmp_path / f"{worker}.columns", worker)
        if worker == 0:
            journal.event(Kind.PUSHED, 9, 0, message_number(1, 7), OK, 0, 1, 1)
            journal.close()
        else:
            journal.flush()
    run = load_run([ColumnReader(tmp_path / f"{worker}.columns") for worker in (0, 1)])
    assert (run.unwritten, len(run.seen)) == (1, 0)


def test_a_journal_in_a_place_that_is_a_file_says_so(tmp_path: Path) -> None:
    """Not that there is a journal already."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(JournalError, match="cannot be created"):
        writer(tmp_path / "taken" / "run.columns")
