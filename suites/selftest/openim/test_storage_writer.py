"""The way from the tables to the database: order, coalescing, refusals, and a database that is away for a while."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.clients.openim_rest import OpenIMError
from fixtures.deadline import Deadline
from fixtures.openim import records as r
from fixtures.openim.state import State
from fixtures.openim.storage.changes import Change, Changes, Key, fold
from fixtures.openim.storage.errors import StorageError
from fixtures.openim.storage.layout import Layout
from fixtures.openim.storage.writer import Writer
from fixtures.openim.tables import Table
from fixtures.rundir import RunDir
from fixtures.services.mongo import Mongo
from suites.selftest.openim.databases import Databases, Place
from suites.selftest.openim.doubles import ADMIN, SECRET, Clock, in_process

NAMES = st.sampled_from(["ann", "ben", "c:d"])
TEXTS = st.text(max_size=5)
NUMBERS = st.integers(-(2**31), 2**31 - 1)
SEQS = st.integers(1, 205)
TIMES = st.integers(-62135596800000, 4_000_000_000_000)
PUSH = st.fixed_dictionaries(
    {
        "title": TEXTS,
        "desc": TEXTS,
        "ex": TEXTS,
        "iOSPushSound": TEXTS,
        "iOSBadgeCount": st.booleans(),
        "signalInfo": TEXTS,
    }
)


def of(record: Any, **given_fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Records with values of each field's type, `None` now and then for a dropped one."""
    return st.none() | st.builds(record, **given_fields) | st.builds(record, **given_fields)


def message(seq: int) -> st.SearchStrategy[Any]:
    """What may stand under a seq."""
    return of(
        r.Message,
        content=TEXTS,
        sent_ms=TIMES,
        created_ms=TIMES,
        platform_id=NUMBERS,
        session_type=NUMBERS,
        content_type=NUMBERS,
        msg_from=NUMBERS,
        status=NUMBERS.filter(lambda status: status != 1),  # "sending" is stored as "sent"
        options=st.none() | st.dictionaries(NAMES, st.booleans()),
        offline_push=st.none() | PUSH,
        at_user_ids=st.none() | st.lists(NAMES),
        seq=st.just(seq),
        revocation=st.just(""),
        deleted_for=st.lists(NAMES, unique=True),
    )


def puts() -> st.SearchStrategy[tuple[str, str, str, Any]]:
    """A table, a pair of keys, and the record to put there or None."""
    seconds = {"dismissal": st.just(""), "user": st.just(""), "conversation_seq": st.just("")}
    tables: dict[str, st.SearchStrategy[Any]] = {
        "user": of(r.User, created_ms=TIMES, level=NUMBERS, recv_opt=NUMBERS),
        "user_seq": of(r.UserSeq, min_seq=SEQS, max_seq=SEQS, read_seq=SEQS),
        "conversation_seq": of(r.ConversationSeq, max_seq=SEQS, changed_ms=TIMES),
        "tokens": of(r.Tokens, states=st.dictionaries(TEXTS.filter(lambda one: ":" not in one), st.integers(0, 2))),
        "dismissal": of(r.Note),
        "client_config": of(r.Note),
    }

    def keyed(kind: str) -> st.SearchStrategy[tuple[str, str, str, Any]]:
        names = NAMES if kind != "tokens" else st.sampled_from(["", "IOS", "Web"])
        return st.tuples(st.just(kind), NAMES, seconds.get(kind, names), tables[kind])

    slots = SEQS.flatmap(lambda seq: st.tuples(st.just("message"), NAMES, st.just(str(seq)), message(seq)))
    return st.sampled_from(sorted(tables)).flatmap(keyed) | slots


def owned(kind: str, first: str, record: Any) -> Any:
    """The record with the key that it also holds as a field."""
    return r.User(first, *[getattr(record, name) for name in list(record.__slots__)[1:]]) if kind == "user" else record


def shown(state: State) -> dict[str, Any]:
    """What the tables hold; a user without tokens has none."""
    held = {table.kind: table for table in vars(state).values() if isinstance(table, Table)}
    return {
        kind: {
            first: sorted(rows, key=itemgetter(0)) if kind in ("message", "tokens") else rows
            for first in table.ids()
            if (rows := [(second, one) for second, one in table.of(first).items() if one != r.Tokens({})])
        }
        for kind, table in held.items()
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps=st.lists(puts() | st.none(), max_size=30))
def test_any_sequence_of_changes_is_found_again(databases: Databases, steps: Sequence[Any]) -> None:
    """However puts, drops and commits (None) follow one another, a reopened state holds what memory held."""
    with databases.fresh() as place:
        clock = Clock()
        state = place.state(clock)
        tables = {table.kind: table for table in vars(state).values() if isinstance(table, Table)}
        for step in steps:
            if step is None:
                state.commit()
                continue
            kind, first, second, record = step
            if record is None:
                tables[kind].drop(first, second)
            else:
                tables[kind].put(owned(kind, first, record), first, second)
        assert state.close()
        reopened = place.state(clock)
        assert shown(reopened) == shown(state)
        reopened.close()


VALUES = st.none() | st.integers(0, 3)


@given(steps=st.lists(st.tuples(st.sampled_from("abc"), VALUES), max_size=20), cuts=st.sets(st.integers(0, 20)))
def test_folded_changes_lead_to_the_same_place(steps: list[tuple[str, int | None]], cuts: set[int]) -> None:
    """One change for each key is left, from what was there to what is there, in the order of memory."""
    stored: dict[str, int] = {}
    memory: dict[str, int] = {}
    batch: Changes = {}

    def flush() -> None:
        for (_, first, _second), change in batch.items():
            assert stored.get(first) == change.before
            if change.moved or change.after is None:
                stored.pop(first)
            if change.after is not None:
                stored[first] = change.after
        batch.clear()
        assert list(stored.items()) == list(memory.items())

    for number, (name, value) in enumerate(steps):
        if number in cuts:
            flush()
        fold(batch, Key("t", name, ""), Change(memory.get(name), value))
        if value is None:
            memory.pop(name, None)
        else:
            memory[name] = value
    flush()


def test_a_record_that_came_back_is_written_behind_the_others() -> None:
    """Dropped and put again within a batch, it is deleted and inserted anew: the database keeps memory's order."""
    changes: Changes = {}
    fold(changes, Key("user", "ann", ""), Change(r.User("ann", "Ann"), None))
    fold(changes, Key("user", "ben", ""), Change(None, r.User("ben", "Ben")))
    fold(changes, Key("user", "ann", ""), Change(None, r.User("ann", "Anna")))
    writes = Layout().writes(changes, 0)["user"]
    assert [type(write).__name__ for write in writes] == ["UpdateOne", "DeleteOne", "UpdateOne"]


def test_what_is_handed_over_meanwhile_is_one_batch() -> None:
    """While a batch is written, later changes of a key become one, from what that batch leaves to the newest."""
    batches: list[Changes] = []
    goes_on = threading.Event()

    def store(batch: Changes, _abandon: threading.Event) -> int:
        batches.append(batch)
        goes_on.wait(10)
        return 0

    writer = Writer(store, wait_s=1, capacity=10)
    key = Key("t", "a", "")
    writer.hand_over({key: Change(None, 1)})
    while not batches:
        time.sleep(0.001)
    for before, after in ((1, 2), (2, None), (None, 3)):
        writer.hand_over({key: Change(before, after)})
    goes_on.set()
    assert writer.close(10) == 0
    assert batches == [{key: Change(None, 1)}, {key: Change(1, 3, moved=True)}]


def test_puts_of_one_batch_are_one_write() -> None:
    """A hundred messages of one document, each put three times, are two updates: the document and its slots."""
    changes: Changes = {}
    blank = r.Message("a", "b", 1, 101, "", "", "", 0, 0)
    for _ in range(3):
        for seq in range(1, 101):
            fold(changes, Key("message", "si_a_b", str(seq)), Change(None, blank))
    writes = Layout().writes(changes, 0)
    assert {name: len(operations) for name, operations in writes.items()} == {"msg": 2}


def test_what_was_not_committed_is_stored_at_the_end(place: Place, clock: Clock) -> None:
    """Closing hands over and stores the rest."""
    state = place.state(clock)
    state.users.put(r.User("ann", "Ann"), "ann")
    assert place.read["user"].find_one({"user_id": "ann"}) is None
    assert state.close()
    assert place.read["user"].find_one({"user_id": "ann"}) is not None


@pytest.mark.anyio
async def test_a_refused_document_is_told_and_the_rest_is_stored(
    place: Place, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What BSON cannot hold fails the one who waits for it and is logged; its neighbours and successors are stored."""
    state = place.state(clock)
    for name in ("ann", "ben", "cyd"):
        state.users.put(r.User(name, name, level=2**40 if name != "ben" else 2**70), name)
    state.commit()
    with caplog.at_level(logging.ERROR), pytest.raises(StorageError, match="refuses a part"):
        await state.durable()
    assert "A change of user is refused for good" in caplog.text
    state.users.put(r.User("dan", "Dan"), "dan")
    state.commit()
    await state.durable()
    assert sorted(place.read["user"].distinct("user_id")) == ["ann", "cyd", "dan", ADMIN]
    state.close()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    """A server to be killed."""
    run = RunDir.claim(tmp_path_factory.mktemp("mongo"))
    try:
        yield Mongo.start(run, Deadline(60))
    finally:
        run.release()


@pytest.mark.anyio
async def test_a_database_that_is_away(server: Mongo, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Answers are 500 within the wait, reads go on, too much is held back; once it is there again nothing is missing."""
    caplog.set_level(logging.WARNING)
    with Databases(server).fresh() as place:
        state = place.state(clock, wait_s=1.5, capacity=60)
        async with in_process(state) as im:
            await im.user_register([{"userID": "ann", "nickname": "Ann"}, {"userID": "ben", "nickname": "Ben"}])
            await im.send_msg("ann", {"content": "before"}, recv_id="ben")
            with server.connect() as client:
                client.admin.command("fsync")
            server.kill9()
            with pytest.raises(OpenIMError) as refused:
                await im.send_msg("ann", {"content": "meanwhile"}, recv_id="ben")
            assert (refused.value.err_code, refused.value.err_msg) == (500, "ServerInternalError")
            assert (await im.get_users_info(["ann"]))["ann"]["nickname"] == "Ann"
            for number in range(100):
                state.users.put(r.User(f"u{number}", "x"), f"u{number}")
            state.commit()
            with pytest.raises(OpenIMError):
                await im.send_msg("ann", {"content": "held back"}, recv_id="ben")
            assert "are not stored yet, attempt" in caplog.text
            await asyncio.to_thread(server.restart, Deadline(30))
            deadline = asyncio.get_running_loop().time() + 20
            while True:
                try:
                    await state.durable()
                    break
                except StorageError:
                    assert asyncio.get_running_loop().time() < deadline
            await im.send_msg("ann", {"content": "after"}, recv_id="ben")
        expected = shown(state)
        assert state.close()
        reopened = place.state(clock)
        assert shown(reopened) == expected
        contents = [one.content for one in reopened.messages.of("si_ann_ben").values()]
        assert contents == [f'{{"content":"{word}"}}' for word in ("before", "meanwhile", "after")]
        reopened.close()


def test_memory_mode_hands_nothing_over() -> None:
    """Without a store there is nothing to commit and nothing to wait for."""
    state = State(secret=SECRET, admin_ids=[ADMIN])
    state.users.put(r.User("ann", "Ann"), "ann")
    state.commit()
    assert (state.is_durable, state.handed_over) == (False, 0)
    assert state.close()
