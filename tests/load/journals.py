"""Small column journals, and strategies for their events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from load.journal.layout import FAIL, INFO, NO_SEQ, OK, Kind, message_number
from load.journal.writer import ColumnWriter

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
    """A send and its answers, in order: OK, FAIL, INFO; none for one that is never answered."""

    lane: tuple[int, int]
    answers: tuple[int, ...]
    took_s: int


@dataclass(frozen=True)
class Received:
    """A message that a user received; some of them were never sent."""

    message: int
    receiver: int
    seq: int
    message_id: int
    read: int | None
    altered: bool


@dataclass(frozen=True)
class Read:
    """A read-back; with `phase` 0 it never ends."""

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
receptions = st.builds(
    Received,
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


def record(path: Path, sent: Sequence[Send], seen: Sequence[Received], read: Sequence[Read]) -> None:
    """Record a small history: sends that overlap, receptions, and reads that are early or late, fail or never end."""
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
    for one_received in seen:
        now += 1000
        mine = [place for place, one in enumerate(read) if one.user == one_received.receiver]
        pulled = one_received.read is not None and bool(mine)
        who = mine[(one_received.read or 0) % len(mine)] if pulled else one_received.receiver
        kind, number = Kind.PULLED if pulled else Kind.PUSHED, message_number(0, one_received.message)
        journal.event(kind, now, who, number, OK, int(one_received.altered), one_received.seq, one_received.message_id)
    for place, one in enumerate(read):
        if one.phase:
            journal.event(Kind.READ_END, now + 1, one.user, place, one.phase, int(one.complete), one.begin, one.end)
    journal.close()
