"""The MongoDB observer sees every write through the change stream, and admits where it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId, Timestamp

from fixtures.services.mongo import Mongo
from fixtures.stack.deadline import Deadline
from fixtures.stack.stack import Stack
from tests.verifier.stores.mongo_world import MESSAGES, MongoWorld, at, open_mongo_world, witnesses
from verifier.profile.relations import Relation
from verifier.profile.timing import Timing
from verifier.stores.errors import ContinuityLost, StoreError, Unreachable
from verifier.stores.mongo.observer import MongoObserver
from verifier.stores.mongo.stream import NoStream, Place, time_of_token
from verifier.stores.protocols import CounterSnapshot, Witness

pytestmark = pytest.mark.anyio


def told(found: list[Witness]) -> list[tuple[str, str]]:
    """Operations and keys."""
    return [(item.operation, item.key) for item in found]


async def test_silence(mongo: MongoWorld) -> None:
    """Nothing written, nothing told; and a stream needs neither counters nor the same process."""
    mongo.messages.insert_one({"_id": 1})
    async with mongo.observer() as observer:
        before = await observer.read(settled=True)
        assert observer.complete
        assert before.blind == ()
        assert before.counters == {}
        assert await witnesses(observer, before) == []
        assert [item async for item in observer.witnesses(None, before)] == []


async def test_insert_update_replace_delete(mongo: MongoWorld) -> None:
    """Each operation is told with its key, time and, where the server can, the columns."""
    mongo.messages.insert_one({"_id": "old", "conv": "c0"})

    def write() -> None:
        mongo.messages.insert_one({"_id": "new", "conv": "c1", "body": "secret"})
        mongo.messages.update_one({"_id": "old"}, {"$set": {"body": "changed"}})
        mongo.messages.replace_one({"_id": "old"}, {"conv": "c2"})
        mongo.messages.delete_one({"_id": "new"})

    found = await mongo.seen(write)
    assert told(found) == [("insert", "new"), ("update", "old"), ("update", "old"), ("delete", "new")]
    assert found[0].row == {"message_id": "new", "conversation_id": "c1"}
    assert found[3].row == {"message_id": "new"}  # whose it was is not told, and not invented
    assert all(item.since_baseline and item.how == "change stream" for item in found)
    assert all(item.written_at is not None and abs(_age(item.written_at)) < timedelta(minutes=1) for item in found)


def _age(moment: datetime) -> timedelta:
    return datetime.now(UTC) - moment


async def test_insert_then_delete_leaves_two_witnesses(mongo: MongoWorld) -> None:
    """What no counter of live records shows."""

    def write() -> None:
        mongo.messages.insert_one({"_id": 1, "conv": "c", "at": at(0) - timedelta(days=900)})
        mongo.messages.delete_one({"_id": 1})

    assert told(await mongo.seen(write)) == [("insert", "1"), ("delete", "1")]


async def test_bulk_and_transaction(mongo: MongoWorld) -> None:
    """Bulk inserts and transactions come as one event for each record, an aborted one as none."""

    def write() -> None:
        mongo.messages.insert_many([{"_id": number} for number in range(300)])
        with mongo.writer.start_session() as session:
            with session.start_transaction():
                mongo.messages.insert_one({"_id": "committed", "conv": "c"}, session=session)
            with session.start_transaction():
                mongo.messages.insert_one({"_id": "aborted"}, session=session)
                session.abort_transaction()

    found = await mongo.seen(write)
    assert told(found) == [("insert", str(number)) for number in range(300)] + [("insert", "committed")]
    assert found[-1].row["conversation_id"] == "c"


async def test_rename_and_drop_are_told_and_followed_across(mongo: MongoWorld) -> None:
    """A collection that is moved aside and made anew under its name hides nothing."""

    def write() -> None:
        mongo.messages.insert_one({"_id": "before"})
        mongo.messages.rename("messages_2026")
        mongo.messages.insert_one({"_id": "between"})
        mongo.messages.drop()
        mongo.messages.insert_one({"_id": "after"})

    mongo.messages.insert_one({"_id": 0})
    name = f"{mongo.grant.database}.messages"
    assert told(await mongo.seen(write)) == [
        ("insert", "before"),
        ("rename", f"{name} -> {name}_2026"),
        ("insert", "between"),
        ("drop", name),
        ("insert", "after"),
    ]


async def test_a_collection_that_is_not_there(mongo: MongoWorld) -> None:
    """Decommissioned: absence is silence, and the first insert after it is seen."""
    async with mongo.observer() as observer:
        before = await observer.read()
        assert await witnesses(observer, before) == []
        mongo.messages.insert_one({"_id": 1})
        assert told(await witnesses(observer, before)) == [("insert", "1")]


async def test_writes_after_the_second_reading_wait_for_the_third(mongo: MongoWorld) -> None:
    """Between two readings means between them: nothing twice in a quiet collection, nothing never."""
    async with mongo.observer() as observer:
        first = await observer.read()
        mongo.messages.insert_one({"_id": 1})
        second = await observer.read()
        mongo.messages.insert_one({"_id": 2})
        third = await observer.read()
        assert told([item async for item in observer.witnesses(first, second)]) == [("insert", "1")]
        assert told([item async for item in observer.witnesses(second, third)]) == [("insert", "2")]
        assert told([item async for item in observer.witnesses(first, third)]) == [("insert", "1"), ("insert", "2")]


async def test_only_records_of_the_relation(mongo: MongoWorld) -> None:
    """The relation's `where` holds for events, too. What tells no fields passes: a delete, a record gone since."""
    relation = Relation.model_validate(MESSAGES.model_dump() | {"where": {"$or": [{"kind": "chat"}, {"meta.kind": 1}]}})
    mongo.messages.insert_many([{"_id": "old", "kind": "support"}, {"_id": "gone", "kind": "support"}])

    def write() -> None:
        mongo.messages.insert_one({"_id": "chat", "kind": "chat"})
        mongo.messages.insert_one({"_id": "nested", "meta": {"kind": 1}})
        mongo.messages.insert_one({"_id": "support", "kind": "support"})
        mongo.messages.update_many({"kind": "support"}, {"$set": {"seen": True}})
        mongo.messages.delete_one({"_id": "gone"})

    found = await mongo.seen(write, relation=relation)
    assert told(found) == [("insert", "chat"), ("insert", "nested"), ("update", "gone"), ("delete", "gone")]


async def test_a_filter_that_events_cannot_carry_is_admitted(mongo: MongoWorld) -> None:
    """Operators on whole documents do not fit events: everything is told, and said to be."""
    where = {"$expr": {"$gt": ["$n", 1]}}
    relation = Relation.model_validate(MESSAGES.model_dump() | {"where": where})
    async with mongo.observer(relation=relation) as observer:
        before = await observer.read()
        assert any("whole documents" in text for text in before.blind)
        mongo.messages.insert_one({"_id": 1, "n": 0})
        assert told(await witnesses(observer, before)) == [("insert", "1")]


async def test_a_reading_survives_the_history(mongo: MongoWorld) -> None:
    """What is remembered is JSON, and the search resumes from it in another process."""
    async with mongo.observer() as observer:
        remembered = json.dumps((await observer.read()).to_json())
    mongo.messages.insert_one({"_id": 1})
    async with mongo.observer() as observer:
        assert told(await witnesses(observer, CounterSnapshot.from_json(json.loads(remembered)))) == [("insert", "1")]


@pytest.mark.parametrize(
    "horizon",
    [
        "not JSON",
        "{}",
        '{"token": {"_data": "82AA"}, "fence": {"$timestamp": {"t": 1, "i": 1}}}',
        '{"token": {"_data": "00"}, "fence": {"$timestamp": {"t": 1, "i": 1}}}',
    ],
)
async def test_a_token_that_leads_nowhere(mongo: MongoWorld, position: str) -> None:
    """A place that the server does not know is lost continuity, never silence."""
    async with mongo.observer() as observer:
        now = await observer.read()
        with pytest.raises(ContinuityLost):
            await witnesses(observer, CounterSnapshot(at=now.at, continuity=now.continuity, position=position))


async def test_too_many_changes_are_an_error(mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded: a busy collection is not read for ever."""
    monkeypatch.setattr("verifier.stores.mongo.stream.EVENTS_MAX", 10)
    with pytest.raises(StoreError, match="more than 10 changes"):
        await mongo.seen(lambda: mongo.messages.insert_many([{"_id": number} for number in range(11)]))
    assert len(await mongo.seen(lambda: mongo.messages.delete_many({"_id": {"$lt": 10}}))) == 10


async def test_a_writer_that_never_stops(mongo: MongoWorld) -> None:
    """The stream is read to the fence of the second reading; what comes later does not hold it up."""
    async with mongo.observer() as observer:
        before = await observer.read()
        mongo.messages.insert_one({"_id": "first"})
        now = await observer.read()
        stop = asyncio.Event()

        async def keep_writing() -> None:
            while not stop.is_set():
                await asyncio.to_thread(mongo.messages.insert_one, {})

        task = asyncio.create_task(keep_writing())
        try:
            async with asyncio.timeout(5):
                found = [item async for item in observer.witnesses(before, now)]
        finally:
            stop.set()
            await task
        assert told(found) == [("insert", "first")]


class TestWithoutStream:
    """What is left where the server has no change stream to offer."""

    @pytest.fixture
    def no_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As on a standalone server."""

        async def refuse(*_: Any) -> Place:
            raise NoStream("change streams need a replica set, and this server is standalone")

        monkeypatch.setattr("verifier.stores.mongo.observer.place_now", refuse)

    @pytest.mark.usefixtures("no_stream")
    async def test_records_that_tell_their_own_time(self, mongo: MongoWorld) -> None:
        """ObjectIds and time columns are soft witnesses; what they cannot show is said."""
        old, future = ObjectId.from_datetime(at(0)), datetime.now(UTC) + timedelta(hours=1)
        mongo.messages.insert_one({"_id": old, "conv": "c"})
        async with mongo.observer() as observer:
            before = await observer.read()
            assert not observer.complete
            assert any("standalone" in text for text in before.blind)
            assert before.continuity["collection"] not in ("", "absent")
            fresh = ObjectId.from_datetime(future)
            mongo.messages.insert_one({"_id": fresh, "conv": "c1"})
            mongo.messages.insert_one({"_id": "dated", "at": future})
            mongo.messages.insert_one({"_id": "back-dated", "at": at(0)})
            mongo.messages.update_one({"_id": old}, {"$set": {"at": future}})
            found = await witnesses(observer, before)
        assert sorted(told(found)) == sorted([("update", str(old)), ("insert", str(fresh)), ("insert", "dated")])
        assert not any(item.since_baseline for item in found)

    @pytest.mark.usefixtures("no_stream")
    async def test_a_counter_that_does_not_move_is_no_evidence(self, mongo: MongoWorld) -> None:
        """This server answers with zeros for ever: a dead counter looks exactly like perfect silence."""
        mongo.messages.insert_one({"_id": 1})
        async with mongo.observer() as observer:
            snapshot = await observer.read()
        assert snapshot.counters == {}
        assert any("does not move" in text for text in snapshot.blind)

    @pytest.mark.usefixtures("no_stream")
    async def test_a_counter_that_moves_is_given(self, mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a read of ours moves the read counter, the write counter beside it is alive."""
        stats = iter([{"reads": {"ops": 4}, "writes": {"ops": 9}}, {"reads": {"ops": 5}, "writes": {"ops": 9}}])

        async def alive(_: MongoObserver) -> Any:
            return next(stats)

        monkeypatch.setattr(MongoObserver, "_latency_stats", alive)
        mongo.messages.insert_one({"_id": 1})
        async with mongo.observer() as observer:
            assert (await observer.read()).counters == {"write": 9}

    @pytest.mark.usefixtures("no_stream")
    async def test_an_absent_collection_says_so(self, mongo: MongoWorld) -> None:
        """Absence is a token: a collection that comes back is another one."""
        async with mongo.observer() as observer:
            assert (await observer.read()).continuity["collection"] == "absent"

    async def test_a_stream_that_came_or_went_is_lost_continuity(
        self, mongo: MongoWorld, request: pytest.FixtureRequest
    ) -> None:
        """A look with a stream and one without do not connect."""
        async with mongo.observer() as observer:
            before = await observer.read()
            request.getfixturevalue("no_stream")
            with pytest.raises(ContinuityLost, match="was there at one look and not at the other"):
                await witnesses(observer, before)

    async def test_a_view_has_no_stream(self, mongo: MongoWorld) -> None:
        """This server would open one on a view, and it would stay silent for ever."""
        mongo.database.create_collection("messages", viewOn="other", pipeline=[])
        async with mongo.observer() as observer:
            assert any("is a view" in text for text in (await observer.read()).blind)

    def test_the_time_in_a_token(self) -> None:
        """MongoDB's own tokens hold their logical time; other servers' tokens are not guessed at."""
        data = "8265F0C0FF000000022B022C0100296E5A1004"
        assert time_of_token({"_data": data}) == Timestamp(0x65F0C0FF, 2)
        assert time_of_token({"_data": "340000001073000400"}) is None
        assert time_of_token({"_data": "82"}) is None
        assert time_of_token(None) is None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    """A MongoDB-wire server that no other test uses."""
    with Stack.start(Path(tmp_path_factory.mktemp("mongo")), only={"mongo"}) as stack:
        yield stack.mongo


class TestServerGone:
    """A server of its own, to be killed."""

    async def test_the_stream_goes_on_after_a_crash(self, server: Mongo) -> None:
        """The token leads on after `kill -9` and a restart: the same proof, in another process of the server."""
        with open_mongo_world(server) as world:
            async with world.observer() as observer:
                before = await observer.read()
                world.messages.insert_one({"_id": "before the crash"})
                with server.connect() as client:
                    client.admin.command("fsync")
                server.kill9()
                with pytest.raises(Unreachable):
                    await observer.read()
                server.restart(Deadline(30))
                world.messages.insert_one({"_id": "after it"})
                now = await observer.read()
                assert now.continuity == before.continuity
                found = [item async for item in observer.witnesses(before, now)]
                assert told(found) == [("insert", "before the crash"), ("insert", "after it")]

    async def test_a_server_that_hangs(self, server: Mongo) -> None:
        """A paused server is unreachable in time, with the next step."""
        with open_mongo_world(server) as world:
            async with world.store(operation_timeout_s=1.0) as store:
                observer = store.observer(MESSAGES, (), Timing())
                before = await observer.read()
                server.pause()
                try:
                    with pytest.raises(Unreachable):
                        await observer.read()
                finally:
                    server.resume()
                world.messages.insert_one({"_id": 1})
                assert told(await witnesses(observer, before)) == [("insert", "1")]
