"""The MongoDB observer finds every write by the change stream, and reports its limitations without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from fixtures.processes.deadline import Deadline
from fixtures.services.mongo import Mongo
from fixtures.stack.stack import Stack
from tests.verifier.stores.mongo.world import MESSAGES, MongoWorld, at, open_mongo_world, witnesses
from verifier.profile.relations import Relation
from verifier.profile.timing import Timing
from verifier.stores.errors import ContinuityLost, StoreError, Unreachable
from verifier.stores.mongo.observer import MongoObserver
from verifier.stores.mongo.stream import NoStream, Place
from verifier.stores.protocols import CounterSnapshot, Witness

pytestmark = [pytest.mark.long, pytest.mark.anyio]


def operations(found: list[Witness]) -> list[tuple[str, str]]:
    """Operations and keys."""
    return [(item.operation, item.key) for item in found]


async def test_no_write_gives_no_witness(mongo: MongoWorld) -> None:
    """Without writes there are no witnesses, also for another observer of the same collection."""
    mongo.messages.insert_one({"_id": 1})
    async with mongo.observer() as observer:
        before = await observer.read(settled=True)
        assert observer.complete
        assert before.limitations == ()
        assert before.counters == {}
        assert await witnesses(observer, before) == []
        assert [item async for item in observer.witnesses(None, before)] == []


async def test_each_operation_has_a_witness(mongo: MongoWorld) -> None:
    """Each operation is reported with its key, its time and, where the server has them, the columns."""
    mongo.messages.insert_one({"_id": "old", "conv": "c0"})

    def write() -> None:
        mongo.messages.insert_one({"_id": "new", "conv": "c1", "body": "secret"})
        mongo.messages.update_one({"_id": "old"}, {"$set": {"body": "changed"}})
        mongo.messages.replace_one({"_id": "old"}, {"conv": "c2"})
        mongo.messages.delete_one({"_id": "new"})

    found = await mongo.witnesses_of(write)
    assert operations(found) == [("insert", "new"), ("update", "old"), ("update", "old"), ("delete", "new")]
    assert found[0].row == {"message_id": "new", "conversation_id": "c1"}
    assert found[3].row == found[0].row  # the event has only the `_id`; the insert before it says the rest
    assert all(item.since_baseline and item.how == "change stream" for item in found)
    assert all(item.written_at is not None and abs(_age(item.written_at)) < timedelta(minutes=1) for item in found)


def _age(moment: datetime) -> timedelta:
    return datetime.now(UTC) - moment


async def test_insert_then_delete_leaves_two_witnesses(mongo: MongoWorld) -> None:
    """An insert that is deleted again has two witnesses, which no count of records shows."""

    def write() -> None:
        mongo.messages.insert_one({"_id": 1, "conv": "c", "at": at(0) - timedelta(days=900)})
        mongo.messages.delete_one({"_id": 1})

    assert operations(await mongo.witnesses_of(write)) == [("insert", "1"), ("delete", "1")]


async def test_bulk_inserts_and_transactions_have_a_witness_per_record(mongo: MongoWorld) -> None:
    """An aborted transaction has none."""

    def write() -> None:
        mongo.messages.insert_many([{"_id": number} for number in range(300)])
        with mongo.writer.start_session() as session:
            with session.start_transaction():
                mongo.messages.insert_one({"_id": "committed", "conv": "c"}, session=session)
            with session.start_transaction():
                mongo.messages.insert_one({"_id": "aborted"}, session=session)
                session.abort_transaction()

    found = await mongo.witnesses_of(write)
    assert operations(found) == [("insert", str(number)) for number in range(300)] + [("insert", "committed")]
    assert found[-1].row["conversation_id"] == "c"


async def test_the_stream_continues_after_rename_and_drop(mongo: MongoWorld) -> None:
    """Writes are found in a collection that was renamed or dropped and created again."""

    def write() -> None:
        mongo.messages.insert_one({"_id": "before"})
        mongo.messages.rename("messages_2026")
        mongo.messages.insert_one({"_id": "between"})
        mongo.messages.drop()
        mongo.messages.insert_one({"_id": "after"})

    mongo.messages.insert_one({"_id": 0})
    name = f"{mongo.grant.database}.messages"
    assert operations(await mongo.witnesses_of(write)) == [
        ("insert", "before"),
        ("rename", f"{name} -> {name}_2026"),
        ("insert", "between"),
        ("drop", name),
        ("insert", "after"),
    ]


async def test_a_missing_collection_is_silent_until_its_first_insert(mongo: MongoWorld) -> None:
    """A collection that does not exist gives a snapshot, and its first insert is found."""
    async with mongo.observer() as observer:
        before = await observer.read()
        assert await witnesses(observer, before) == []
        mongo.messages.insert_one({"_id": 1})
        assert operations(await witnesses(observer, before)) == [("insert", "1")]


async def test_writes_after_the_second_snapshot_are_found_by_the_third(mongo: MongoWorld) -> None:
    """No write is reported twice in a quiet collection, and none is lost."""
    async with mongo.observer() as observer:
        first = await observer.read()
        mongo.messages.insert_one({"_id": 1})
        second = await observer.read()
        mongo.messages.insert_one({"_id": 2})
        third = await observer.read()
        assert operations([item async for item in observer.witnesses(first, second)]) == [("insert", "1")]
        assert operations([item async for item in observer.witnesses(second, third)]) == [("insert", "2")]
        assert operations([item async for item in observer.witnesses(first, third)]) == [
            ("insert", "1"),
            ("insert", "2"),
        ]


async def test_events_are_filtered_by_the_relation(mongo: MongoWorld) -> None:
    """The relation's `where` applies to events. Events without fields pass: a delete, a record that is gone."""
    relation = Relation.model_validate(MESSAGES.model_dump() | {"where": {"$or": [{"kind": "chat"}, {"meta.kind": 1}]}})
    mongo.messages.insert_many([{"_id": "old", "kind": "support"}, {"_id": "gone", "kind": "support"}])

    def write() -> None:
        mongo.messages.insert_one({"_id": "chat", "kind": "chat"})
        mongo.messages.insert_one({"_id": "nested", "meta": {"kind": 1}})
        mongo.messages.insert_one({"_id": "support", "kind": "support"})
        mongo.messages.update_many({"kind": "support"}, {"$set": {"seen": True}})
        mongo.messages.delete_one({"_id": "gone"})

    found = await mongo.witnesses_of(write, relation=relation)
    assert operations(found) == [("insert", "chat"), ("insert", "nested"), ("update", "gone"), ("delete", "gone")]


async def test_a_filter_that_does_not_fit_events_is_a_limitation(mongo: MongoWorld) -> None:
    """Operators on whole documents do not fit events: all writes are reported, with a limitation."""
    where = {"$expr": {"$gt": ["$n", 1]}}
    relation = Relation.model_validate(MESSAGES.model_dump() | {"where": where})
    async with mongo.observer(relation=relation) as observer:
        before = await observer.read()
        assert any("whole documents" in text for text in before.limitations)
        mongo.messages.insert_one({"_id": 1, "n": 0})
        assert operations(await witnesses(observer, before)) == [("insert", "1")]


async def test_a_snapshot_survives_the_history(mongo: MongoWorld) -> None:
    """A snapshot is stored as JSON, and another process resumes from it."""
    async with mongo.observer() as observer:
        remembered = json.dumps((await observer.read()).to_json())
    mongo.messages.insert_one({"_id": 1})
    async with mongo.observer() as observer:
        assert operations(await witnesses(observer, CounterSnapshot.from_json(json.loads(remembered)))) == [
            ("insert", "1")
        ]


@pytest.mark.parametrize(
    "position",
    [
        "not JSON",
        "{}",
        '{"token": {"_data": "82AA"}, "fence": {"$timestamp": {"t": 1, "i": 1}}}',
        '{"token": {"_data": "00"}, "fence": {"$timestamp": {"t": 1, "i": 1}}}',
    ],
)
async def test_an_unknown_position_is_lost_continuity(mongo: MongoWorld, position: str) -> None:
    """A position that the server does not know is lost continuity, not silence."""
    async with mongo.observer() as observer:
        now = await observer.read()
        with pytest.raises(ContinuityLost):
            await witnesses(observer, CounterSnapshot(at=now.at, continuity=now.continuity, position=position))


async def test_too_many_changes_are_an_error(mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of events in one run is bounded."""
    monkeypatch.setattr("verifier.stores.mongo.stream.EVENTS_MAX", 10)
    with pytest.raises(StoreError, match="more than 10 changes"):
        await mongo.witnesses_of(lambda: mongo.messages.insert_many([{"_id": number} for number in range(11)]))
    assert len(await mongo.witnesses_of(lambda: mongo.messages.delete_many({"_id": {"$lt": 10}}))) == 10


async def test_continuous_writes_do_not_delay_the_observer(mongo: MongoWorld) -> None:
    """The stream is read up to the fence of the second snapshot; later writes do not delay it."""
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
        assert operations(found) == [("insert", "first")]


class TestWithoutStream:
    """The observer where the server has no change stream."""

    @pytest.fixture
    def no_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No change stream, as on a standalone server."""

        async def refuse(*_: Any) -> Place:
            raise NoStream("change streams need a replica set, and this server is standalone")

        monkeypatch.setattr("verifier.stores.mongo.observer.place_now", refuse)

    @pytest.mark.usefixtures("no_stream")
    async def test_later_times_of_records_are_unproven_witnesses(self, mongo: MongoWorld) -> None:
        """ObjectIds and time columns give witnesses that are not proven, with the limitations of that."""
        old, future = ObjectId.from_datetime(at(0)), datetime.now(UTC) + timedelta(hours=1)
        mongo.messages.insert_one({"_id": old, "conv": "c"})
        async with mongo.observer() as observer:
            before = await observer.read()
            assert not observer.complete
            assert any("standalone" in text for text in before.limitations)
            assert before.continuity["collection"] not in ("", "absent")
            fresh = ObjectId.from_datetime(future)
            mongo.messages.insert_one({"_id": fresh, "conv": "c1"})
            mongo.messages.insert_one({"_id": "dated", "at": future})
            mongo.messages.insert_one({"_id": "back-dated", "at": at(0)})
            mongo.messages.update_one({"_id": old}, {"$set": {"at": future}})
            found = await witnesses(observer, before)
        assert sorted(operations(found)) == sorted([("update", str(old)), ("insert", str(fresh)), ("insert", "dated")])
        assert not any(item.since_baseline for item in found)

    @pytest.mark.usefixtures("no_stream")
    async def test_a_counter_that_does_not_move_is_not_used(self, mongo: MongoWorld) -> None:
        """This server's counters stay at 0, which looks like silence."""
        mongo.messages.insert_one({"_id": 1})
        async with mongo.observer() as observer:
            snapshot = await observer.read()
        assert snapshot.counters == {}
        assert any("does not move" in text for text in snapshot.limitations)

    @pytest.mark.usefixtures("no_stream")
    async def test_a_counter_that_moves_is_used(self, mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a read moves the read counter, the snapshot has the write counter."""
        stats = iter([{"reads": {"ops": 4}, "writes": {"ops": 9}}, {"reads": {"ops": 5}, "writes": {"ops": 9}}])

        async def alive(_: MongoObserver) -> Any:
            return next(stats)

        monkeypatch.setattr(MongoObserver, "_latency_stats", alive)
        mongo.messages.insert_one({"_id": 1})
        async with mongo.observer() as observer:
            assert (await observer.read()).counters == {"write": 9}

    @pytest.mark.usefixtures("no_stream")
    async def test_a_missing_collection_is_a_continuity_token(self, mongo: MongoWorld) -> None:
        """A collection that appears later breaks continuity."""
        async with mongo.observer() as observer:
            assert (await observer.read()).continuity["collection"] == "absent"

    async def test_a_stream_in_only_one_of_two_runs_is_lost_continuity(
        self, mongo: MongoWorld, request: pytest.FixtureRequest
    ) -> None:
        """A snapshot with a stream and one without do not connect."""
        async with mongo.observer() as observer:
            before = await observer.read()
            request.getfixturevalue("no_stream")
            with pytest.raises(ContinuityLost, match="was available in only one of two runs"):
                await witnesses(observer, before)

    async def test_a_view_has_no_stream(self, mongo: MongoWorld) -> None:
        """This server would open a stream on a view, and it would stay silent."""
        mongo.database.create_collection("messages", viewOn="other", pipeline=[])
        async with mongo.observer() as observer:
            assert any("is a view" in text for text in (await observer.read()).limitations)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    """A MongoDB-wire server for one test."""
    with Stack.start(Path(tmp_path_factory.mktemp("mongo")), only={"mongo"}) as stack:
        yield stack.mongo


class TestServerGone:
    """The observer when the server crashes or hangs."""

    async def test_the_stream_resumes_after_a_crash(self, server: Mongo) -> None:
        """After `kill -9` and a restart, the token continues in the new process of the server."""
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
                assert operations(found) == [("insert", "before the crash"), ("insert", "after it")]

    async def test_a_server_that_hangs_is_unreachable(self, server: Mongo) -> None:
        """A paused server is reported in time, and is not asked again in that run. The next run finds what was written."""
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
                with pytest.raises(Unreachable, match="left out for the rest of this run"):
                    await observer.read()
            world.messages.insert_one({"_id": 1})
            async with world.store() as store:
                later = store.observer(MESSAGES, (), Timing())
                assert operations(await witnesses(later, before)) == [("insert", "1")]
