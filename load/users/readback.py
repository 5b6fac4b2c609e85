"""The read-back over REST: it records what is stored, for the judges."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from fixtures.clients.openim_calls import OpenIMError
from load.engine.patience import Patience
from load.journal.layout import INFO, OK, Kind, id_number
from load.journal.writer import ColumnWriter
from load.users.openim import OpenIMApi, Stored
from verifier.judges.recorder import digest

_POLL_S: Final = 0.25
_PAUSE_MAX_S: Final = 5.0

Sleep = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A conversation to read back as each of its members.

    Attributes:
        begin: the first seq that can be the run's.
        acked: how many of the run's messages were acknowledged.
        unsure: the numbers of messages whose sends were not answered clearly.
        number_of: a stored message's number; None for one that is not the run's.
        text_digest: the digest of the run's text.
        position: whether the members' read positions are recorded, too.
    """

    id: str
    members: Sequence[str]
    begin: int
    acked: int
    number_of: Callable[[Stored], int | None]
    text_digest: str
    unsure: Collection[int] = ()
    position: bool = False


def read_until_quiet(
    journal: ColumnWriter, api: OpenIMApi, chats: Sequence[Chat], patience: Patience, *, sleep: Sleep = time.sleep
) -> None:
    """Wait while messages become readable, then read every chat as each member, and again what is missing.

    It ends when everything that was acknowledged is read, when a reading that began in a quiet server still lacks it, or at the
    deadline. Raises JournalError.
    """
    _drain(api, chats, patience, sleep)
    left = [(chat, member) for chat in chats for member in chat.members]
    most: dict[str, int] = {}
    pause_s = _POLL_S
    while left:
        began_s, short = time.monotonic(), []
        for chat, member in left:
            found = read_back(journal, api, chat, member)
            if found is not None and found > most.get(chat.id, 0):
                most[chat.id] = found
                patience.progressed()
            if found is not None and found < chat.acked:
                short.append((chat, member))
        if patience.over or patience.is_quiet(began_s):
            return
        left = short
        if left:
            sleep(patience.pause_s(pause_s))
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)


def _drain(api: OpenIMApi, chats: Sequence[Chat], patience: Patience, sleep: Sleep) -> None:
    """Wait until every acknowledged message has a position, while positions are taken."""
    taken: dict[str, int] = {}
    short, pause_s = list(chats), _POLL_S
    while short and not patience.over:
        for chat in short:
            try:
                newest = api.max_seq(chat.members[0], chat.id)
            except (OpenIMError, httpx.HTTPError):
                newest = chat.begin - 1 + chat.acked  # the read that follows fails, too, and is recorded
            taken[chat.id] = min(newest - chat.begin + 1, chat.acked)
        patience.count(sum(taken.values()), sum(chat.acked for chat in chats))
        short = [chat for chat in short if taken[chat.id] < chat.acked]
        if not short or patience.is_quiet():
            return
        sleep(patience.pause_s(pause_s))
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


def read_back(journal: ColumnWriter, api: OpenIMApi, chat: Chat, member: str) -> int | None:
    """Record everything of the run that a member can read in a conversation. Raises JournalError.

    Returns how many messages that was, without the unsure ones; None for a read that fails. It is recorded as failed, and proves
    nothing.
    """
    conversation, user = journal.conversation(chat.id, chat.members), journal.user(member)
    read = journal.next_read()
    journal.event(Kind.READ, time.monotonic_ns(), user, read, a=conversation)
    numbers: set[int] = set()
    try:
        if chat.position:
            asked_ns = time.monotonic_ns()
            journal.event(Kind.POSITION, asked_ns, user, conversation, a=api.read_seq(member, chat.id))
        newest = api.max_seq(member, chat.id)
        for stored in api.pull(member, chat.id, begin=chat.begin, end=newest):
            if (number := chat.number_of(stored)) is not None:
                altered = int(digest(stored.text) != chat.text_digest)
                message_id = id_number(stored.message_id)
                journal.event(Kind.PULLED, time.monotonic_ns(), read, number, OK, altered, stored.seq, message_id)
                numbers.add(number)
    except (OpenIMError, httpx.HTTPError):
        journal.event(Kind.READ_END, time.monotonic_ns(), user, read, INFO)
        return None
    else:
        journal.event(Kind.READ_END, time.monotonic_ns(), user, read, OK, 1, chat.begin, max(newest, 0))
        return len(numbers.difference(chat.unsure))
    finally:
        journal.flush()
