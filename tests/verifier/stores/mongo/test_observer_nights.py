"""Absence proofs over MongoDB: writes are found by the stream; without one, silence holds only where something proves
it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pymongo import InsertOne, UpdateOne

from tests.verifier.stores.mongo.world import MESSAGES, MongoWorld, at
from tests.verifier.stores.nights import Nights, known_by
from verifier.model.verdict import Verdict
from verifier.profile.timing import Timing
from verifier.proofs.absence.proof import Absence
from verifier.stores.mongo.observer import MongoObserver
from verifier.stores.mongo.stream import NoStream, Place

pytestmark = pytest.mark.anyio

INSERTS = frozenset({"insert"})
CHANGES = frozenset({"update", "replace", "delete", "drop", "rename"})


@contextlib.asynccontextmanager
async def _nights(
    mongo: MongoWorld,
    operations: frozenset[str] = INSERTS,
    *,
    neighbours: frozenset[str] = frozenset(),
    dated: bool = False,
) -> AsyncIterator[Nights]:
    """An absence proof over the messages, its baseline taken."""
    proof = Absence(
        target="messages",
        operations=operations,
        scoped_by=("conversation", "conversation_id"),
        inserted_at="created_at" if dated else None,
    )
    async with mongo.store() as store:
        observer = store.observer(MESSAGES, proof.columns, Timing())
        nights = Nights(proof, observer, MESSAGES, store, neighbours)
        await nights.baseline()
        yield nights


def _document(key: Any, conversation: str = "moved") -> dict[str, Any]:
    return {"_id": key, "conv": conversation, "at": at(0)}


def _in_transaction(mongo: MongoWorld) -> None:
    with mongo.writer.start_session() as session, session.start_transaction():
        mongo.messages.insert_many([_document("t1"), _document("t2")], session=session)


WRITTEN: dict[str, Callable[[MongoWorld], Any]] = {
    "a string id, back-dated": lambda mongo: mongo.messages.insert_one(_document("x")),
    "an upsert": lambda mongo: mongo.messages.update_one({"_id": "u"}, {"$set": _document("u")}, upsert=True),
    "in bulk": lambda mongo: mongo.messages.bulk_write(
        [InsertOne(_document("b")), UpdateOne({"_id": "c"}, {"$set": {"conv": "moved"}}, upsert=True)]
    ),
    "in a transaction": _in_transaction,
    "written and removed": lambda mongo: (
        mongo.messages.insert_one(_document("gone")),
        mongo.messages.delete_one({"_id": "gone"}),
    ),
    "after a drop": lambda mongo: (mongo.messages.drop(), mongo.messages.insert_one(_document("again"))),
    "by $merge": lambda mongo: (
        mongo.database["other"].insert_one(_document("merged")),
        mongo.messages.insert_many(list(mongo.database["other"].find())),
    ),
}


@pytest.mark.parametrize("how", WRITTEN)
async def test_a_write_is_violated(mongo: MongoWorld, how: str) -> None:
    """The stream finds a write whatever its id and times are."""
    mongo.messages.insert_one(_document("old"))
    async with _nights(mongo) as nights:
        assert (await nights.night()).verdict is Verdict.HOLDS
        WRITTEN[how](mongo)
        judgement = await nights.night()
    assert judgement.verdict is Verdict.VIOLATED
    assert set(known_by(judgement)) == {"change stream"}


async def test_a_write_to_a_capped_collection_is_violated(mongo: MongoWorld) -> None:
    """A capped collection has a stream like any other."""
    mongo.database.create_collection("messages", capped=True, size=100_000)
    async with _nights(mongo) as nights:
        mongo.messages.insert_one(_document("x"))
        assert (await nights.night()).verdict is Verdict.VIOLATED


async def test_a_collection_renamed_into_place_is_violated(mongo: MongoWorld) -> None:
    """A collection that takes the name is reported."""
    mongo.messages.insert_one(_document("old"))
    async with _nights(mongo, CHANGES) as nights:
        mongo.database["other"].insert_many([_document("a"), _document("b")])
        mongo.database["other"].rename("messages", dropTarget=True)
        judgement = await nights.night()
    assert judgement.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE)


@pytest.mark.parametrize("what", ["another collection", "another conversation", "nothing changed"])
async def test_harmless_writes_hold(mongo: MongoWorld, what: str) -> None:
    """Writes of neighbours and updates that change nothing are not findings."""
    mongo.messages.insert_one(_document("old"))
    async with _nights(mongo, INSERTS | CHANGES, neighbours=frozenset({"support"})) as nights:
        if what == "another collection":
            mongo.database["other"].insert_one(_document("x"))
        elif what == "another conversation":
            mongo.messages.insert_one(_document("x", "support"))
        else:
            mongo.messages.update_one({"_id": "old"}, {"$set": {"conv": "moved"}})
        judgement = await nights.night()
    assert judgement.verdict is Verdict.HOLDS


async def test_a_lost_position_is_inconclusive_once(mongo: MongoWorld) -> None:
    """A resume token that cannot be followed is inconclusive once, and the next write is found again."""
    mongo.messages.insert_one(_document("old"))
    async with _nights(mongo) as nights:
        slot = next(iter(nights.marks))
        nights.marks[slot] = {**nights.marks[slot], "horizon": '{"token": {"_data": "00"}, "fence": 1}'}
        lost, held = await nights.night(), await nights.night()
        mongo.messages.insert_one(_document("x"))
        after = await nights.night()
    assert [item.verdict for item in (lost, held, after)] == [
        Verdict.INCONCLUSIVE,
        Verdict.HOLDS,
        Verdict.VIOLATED,
    ]


@pytest.fixture
def no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """No change stream, as on a standalone server."""

    async def refuse(*_: Any) -> Place:
        raise NoStream("change streams need a replica set, and this server is standalone")

    monkeypatch.setattr("verifier.stores.mongo.observer.place_now", refuse)


@pytest.mark.usefixtures("no_stream")
@pytest.mark.parametrize(
    ("operations", "neighbours", "dated", "verdict"),
    [
        (INSERTS, frozenset(), True, Verdict.INCONCLUSIVE),
        (CHANGES, frozenset(), False, Verdict.INCONCLUSIVE),
        (CHANGES, frozenset({"support"}), False, Verdict.INCONCLUSIVE),
        (INSERTS, frozenset({"support"}), True, Verdict.HOLDS),
    ],
    ids=["inserts", "changes", "changes, shared", "inserts, shared"],
)
async def test_without_stream_and_counters_silence_is_inconclusive(
    mongo: MongoWorld, operations: frozenset[str], neighbours: frozenset[str], dated: bool, verdict: Verdict
) -> None:
    """This server's counters stay at 0: times of records are enough only where neighbours write too."""
    mongo.messages.insert_one(_document("old") | {"at": at(0).replace(year=2025)})
    async with _nights(mongo, operations, neighbours=neighbours, dated=dated) as nights:
        judgement = await nights.night()
    assert judgement.verdict is verdict, judgement
    assert "standalone" in judgement.reason + " ".join(judgement.coverage[0].unseen)


@pytest.mark.usefixtures("no_stream")
@pytest.mark.parametrize(("writes", "verdict"), [(9, Verdict.HOLDS), (11, Verdict.INCONCLUSIVE)])
async def test_a_moving_counter_proves_silence_and_no_breach(
    mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch, writes: int, verdict: Verdict
) -> None:
    """Silence holds while the counter does not move; once it moved without a witness, the check is inconclusive."""
    reads, counted = iter(range(100)), [9]

    async def alive(_: MongoObserver) -> Any:
        return {"reads": {"ops": next(reads)}, "writes": {"ops": counted[0]}}

    monkeypatch.setattr(MongoObserver, "_latency_stats", alive)
    mongo.messages.insert_one(_document("old") | {"at": at(0).replace(year=2025)})
    async with _nights(mongo) as nights:
        counted[0] = writes
        judgement = await nights.night()
    assert judgement.verdict is verdict, judgement


async def test_a_time_series_is_inconclusive(mongo: MongoWorld) -> None:
    """It has no stream and no counter."""
    mongo.database.create_collection("messages", timeseries={"timeField": "at"})
    async with _nights(mongo) as nights:
        judgement = await nights.night()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "timeseries" in judgement.reason
