"""The judge of read receipts agrees with a direct application of its rule."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from load.journal.layout import FAIL, INFO, OK, Kind
from load.journal.reader import ColumnReader
from load.judging.loading import load_run
from load.judging.receipts import judge_receipts
from tests.load.journals import CHATS, SECOND, USERS, writer

moments = st.integers(1, 20)
events = st.lists(
    st.tuples(
        st.sampled_from(["mark", "position"]),
        st.sampled_from(USERS[:2]),
        st.sampled_from([name for name, _ in CHATS]),
        moments,
        st.integers(0, 9),
        st.sampled_from([OK, OK, OK, FAIL, INFO]),
    ),
    max_size=25,
)
Events = list[tuple[str, str, str, int, int, int]]


@given(events)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_a_position_below_an_acknowledged_mark_is_reported(tmp_path: Path, found: Events) -> None:
    """A mark counts from its acknowledgement plus the settle time; other marks never count; each reader is reported once."""
    path = tmp_path / "marks.columns"
    path.unlink(missing_ok=True)
    journal = writer(path)
    for kind, user, chat, at_s, seq, phase in found:
        who, where = journal.user(user), journal.conversation(chat, ())
        if kind == "mark":
            journal.event(Kind.MARKED, at_s * SECOND, who, where, phase, 0, seq)
        else:
            journal.event(Kind.POSITION, at_s * SECOND, who, where, a=seq)
    journal.close()
    judgement = judge_receipts(load_run([ColumnReader(path)]), settle_s=2)
    marks = [one for one in found if one[0] == "mark"]
    acked = [one for one in marks if one[5] == OK]
    positions = [one for one in found if one[0] == "position"]
    if not marks:
        assert judgement is None
        return
    assert judgement is not None
    expected = {
        (reader, chat)
        for _, reader, chat, at_s, seq, _ in positions
        if any(mark[1:3] == (reader, chat) and mark[3] + 2 <= at_s and mark[4] > seq for mark in acked)
    }
    assert {(one.evidence["user"], one.evidence["conversation"]) for one in judgement.problems} == expected
    assert judgement.problems_total == len(judgement.problems)
    judged = [mark for mark in acked if any(one[1:3] == mark[1:3] and mark[3] + 2 <= one[3] for one in positions)]
    assert (judgement.seen, judgement.total) == (len(judged), len(acked))
