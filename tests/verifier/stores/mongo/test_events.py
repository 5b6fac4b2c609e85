"""Events of a change stream as writes of a relation: whose record it was, and whether it counts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.verifier.stores.mongo.world import MESSAGES, MongoWorld, at
from tests.verifier.stores.nights import Nights
from verifier.model.verdict import Verdict
from verifier.profile.relations import Relation
from verifier.profile.timing import Timing
from verifier.proofs.absence.proof import Absence
from verifier.stores.mongo.events import fields_of, overlaps, plain

pytestmark = pytest.mark.anyio

CHANGES = frozenset({"update", "replace", "delete", "drop", "rename"})
INSERTS = frozenset({"insert"})
HELD, GUILTY, UNSURE = Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE


def _relation(**changes: Any) -> Relation:
    return Relation.model_validate({**MESSAGES.model_dump(), **changes})


@contextlib.asynccontextmanager
async def _nights(
    mongo: MongoWorld,
    operations: frozenset[str] = CHANGES,
    *,
    relation: Relation = MESSAGES,
    shared: bool = True,
    state: str | None = None,
    scoped: bool = True,
) -> AsyncIterator[Nights]:
    """An absence proof over messages of a moved chat and of the support chat, its baseline taken."""
    proof = Absence(
        target="messages",
        operations=operations,
        scoped_by=("conversation", "conversation_id") if scoped and state is None else None,
        state=state,
    )
    async with mongo.store() as store:
        observer = store.observer(relation, proof.columns, Timing())
        nights = Nights(proof, observer, relation, store, frozenset({"support"} if shared else ()))
        await nights.baseline()
        yield nights


def _fill(mongo: MongoWorld, *, pre_images: bool) -> None:
    mongo.database.create_collection("messages", changeStreamPreAndPostImages={"enabled": pre_images})
    mongo.messages.insert_many(
        [
            {"_id": f"{conversation}-{number}", "conv": conversation, "at": at(0)}
            for conversation in ("moved", "support")
            for number in range(4)
        ]
    )


DELETES: dict[str, tuple[Callable[[MongoWorld], Any], Verdict, Verdict]] = {
    "of a moved chat": (lambda mongo: mongo.messages.delete_one({"_id": "moved-1"}), GUILTY, UNSURE),
    "of a neighbour": (lambda mongo: mongo.messages.delete_one({"_id": "support-1"}), HELD, UNSURE),
    "of a neighbour's new message": (
        lambda mongo: (
            mongo.messages.insert_one({"_id": "x", "conv": "support"}),
            mongo.messages.delete_one({"_id": "x"}),
        ),
        HELD,
        HELD,
    ),
    "of all": (lambda mongo: mongo.messages.delete_many({}), GUILTY, UNSURE),
    "by a drop": (lambda mongo: mongo.messages.drop(), GUILTY, GUILTY),
    "by a rename": (lambda mongo: mongo.messages.rename("archived"), GUILTY, GUILTY),
    "to a neighbour": (
        lambda mongo: mongo.messages.update_one({"_id": "moved-1"}, {"$set": {"conv": "support"}}),
        GUILTY,
        UNSURE,
    ),
    "by a replacement": (
        lambda mongo: mongo.messages.replace_one({"_id": "moved-1"}, {"conv": "moved", "at": at(0), "n": 2}),
        GUILTY,
        GUILTY,
    ),
    "of nothing": (
        lambda mongo: mongo.messages.update_one({"_id": "support-1"}, {"$set": {"text": "corrected"}}),
        HELD,
        HELD,
    ),
}


@pytest.mark.parametrize("pre_images", [True, False], ids=["pre-images", "no pre-images"])
@pytest.mark.parametrize("how", DELETES)
async def test_whose_record_was_deleted(mongo: MongoWorld, how: str, pre_images: bool) -> None:
    """A delete event has only an `_id`. Pre-images tell whose record it was; without them a delete is inconclusive, once."""
    _fill(mongo, pre_images=pre_images)
    write, known, unknown = DELETES[how]
    async with _nights(mongo) as nights:
        write(mongo)
        judgement, after = await nights.night(), await nights.night()
    assert judgement.verdict is (known if pre_images else unknown), judgement
    if judgement.verdict is UNSURE:
        assert "changeStreamPreAndPostImages: {enabled: true}" in judgement.reason
        assert after.verdict is HELD


async def test_a_delete_where_nobody_else_writes_is_a_breach(mongo: MongoWorld) -> None:
    """Every record there is OpenIM's; a declared retention job may remove it."""
    _fill(mongo, pre_images=False)
    async with (
        _nights(mongo, shared=False) as nights,
        _nights(mongo, relation=_relation(deletes="TTL index"), shared=False) as declared,
    ):
        mongo.messages.delete_one({"_id": "moved-1"})
        assert (await nights.night()).verdict is GUILTY
        judgement = await declared.night()
    assert judgement.verdict is HELD
    assert "1 deletes that the profile declares (TTL index)" in judgement.coverage[0].text


HIDDEN = {"hidden": {"$ne": True}}
SOFT: dict[str, tuple[Callable[[MongoWorld], Any], Verdict, Verdict]] = {
    "a soft delete": (
        lambda mongo: mongo.messages.update_one({"_id": "moved-1"}, {"$set": {"hidden": True}}),
        GUILTY,
        UNSURE,
    ),
    "another change of a hidden record": (
        lambda mongo: mongo.messages.update_one({"_id": "hidden"}, {"$set": {"text": "x"}}),
        HELD,
        HELD,
    ),
    "a hidden record removed": (lambda mongo: mongo.messages.delete_one({"_id": "hidden"}), HELD, UNSURE),
    "a hidden record inserted": (
        lambda mongo: mongo.messages.insert_one({"_id": "h2", "conv": "moved", "hidden": True}),
        HELD,
        HELD,
    ),
    "a change": (lambda mongo: mongo.messages.update_one({"_id": "moved-1"}, {"$set": {"text": "x"}}), GUILTY, GUILTY),
}


@pytest.mark.parametrize("pre_images", [True, False], ids=["pre-images", "no pre-images"])
@pytest.mark.parametrize("how", SOFT)
async def test_leaving_the_where_is_a_delete(mongo: MongoWorld, how: str, pre_images: bool) -> None:
    """A record that the `where` leaves out from now on was deleted; what it always left out is none of the relation."""
    _fill(mongo, pre_images=pre_images)
    mongo.messages.insert_one({"_id": "hidden", "conv": "moved", "hidden": True})
    write, known, unknown = SOFT[how]
    async with _nights(mongo, relation=_relation(where=HIDDEN)) as nights:
        write(mongo)
        judgement = await nights.night()
    assert judgement.verdict is (known if pre_images else unknown), judgement


async def test_a_delete_beside_a_where_is_unknown_without_a_scope_too(mongo: MongoWorld) -> None:
    """Without a pre-image the record may be one that the `where` leaves out."""
    _fill(mongo, pre_images=False)
    mongo.messages.insert_one({"_id": "hidden", "conv": "moved", "hidden": True})
    async with _nights(mongo, relation=_relation(where=HIDDEN), scoped=False) as nights:
        mongo.messages.delete_one({"_id": "hidden"})
        judgement = await nights.night()
    assert judgement.verdict is UNSURE, judgement
    assert "whether the record was of the relation is not known" in judgement.reason


async def test_a_record_that_enters_the_where_is_an_insert(mongo: MongoWorld) -> None:
    """With its pre-image an update that makes a record visible is an insert, and one of a visible record is none."""
    _fill(mongo, pre_images=True)
    mongo.messages.insert_one({"_id": "hidden", "conv": "moved", "hidden": True})
    async with _nights(mongo, INSERTS, relation=_relation(where=HIDDEN)) as nights:
        mongo.messages.update_one({"_id": "moved-1"}, {"$set": {"text": "x"}})
        quiet = await nights.night()
        mongo.messages.update_one({"_id": "hidden"}, {"$set": {"hidden": False}})
        loud = await nights.night()
    assert quiet.verdict is HELD, quiet
    assert [item.key for item in loud.findings] == ["hidden"]


async def test_only_watched_columns_count(mongo: MongoWorld) -> None:
    """An update counts if it changes a watched column, or the document around it."""
    _fill(mongo, pre_images=False)
    async with _nights(mongo, relation=_relation(watched=["sequence"])) as nights:
        mongo.messages.update_one({"_id": "moved-1"}, {"$set": {"read": True, "metadata": 1}})
        quiet = await nights.night()
        mongo.messages.update_one({"_id": "moved-1"}, {"$set": {"meta.seq": 7}})
        mongo.messages.update_one({"_id": "moved-2"}, {"$unset": {"conv2": 1}, "$set": {"meta": {"seq": 8}}})
        loud = await nights.night()
    assert quiet.verdict is HELD, quiet
    assert sorted(item.key for item in loud.findings) == ["moved-1", "moved-2"]


@pytest.mark.parametrize("how", ["flag", "list"])
async def test_a_state_says_what_counts(mongo: MongoWorld, how: str) -> None:
    """A session that gets a connection is presence. One that loses it, or changes otherwise, is none."""
    _fill(mongo, pre_images=False)
    mongo.messages.update_one({"_id": "moved-2"}, {"$set": {"online": True, "connections": [{"id": 1}]}})
    column = {"column": "online" if how == "flag" else "connections.0", "type": "boolean"}
    relation = _relation(columns={**MESSAGES.model_dump()["columns"], "online": column})
    async with _nights(
        mongo, INSERTS | {"update", "replace"}, relation=relation, shared=False, state="online"
    ) as nights:
        mongo.messages.update_one({"_id": "moved-2"}, {"$set": {"theme": "dark"}})
        mongo.messages.update_one({"_id": "moved-2"}, {"$set": {"online": False, "connections": []}})
        mongo.messages.insert_one({"_id": "offline", "conv": "moved"})
        quiet = await nights.night()
        mongo.messages.update_one({"_id": "moved-1"}, {"$set": {"online": True}, "$push": {"connections": {"id": 2}}})
        loud = await nights.night()
        await nights.baseline()
        mongo.messages.update_one({"_id": "moved-3"}, {"$set": {"online": True}})
        mongo.messages.update_one({"_id": "moved-3"}, {"$set": {"online": False}})
        brief = await nights.night()
    assert quiet.verdict is HELD, quiet
    assert [item.key for item in loud.findings] == ["moved-1"]
    if how == "flag":
        assert [item.key for item in brief.findings] == ["moved-3"]


async def test_doctor_recommends_pre_images(mongo: MongoWorld) -> None:
    """Where they are off, with the command; where they are on, nothing."""
    async with mongo.observer() as observer:
        mongo.database.create_collection("messages")
        assert 'db.runCommand({collMod: "messages"' in await observer.recommendation()
        mongo.database.command({"collMod": "messages", "changeStreamPreAndPostImages": {"enabled": True}})
        assert await observer.recommendation() == ""


def test_paths() -> None:
    """A `$push` writes an index, and a change of a document changes what is in it."""
    assert plain("list.3.id") == "list.id"
    assert overlaps("meta", "meta.seq")
    assert overlaps("meta.seq", "meta")
    assert not overlaps("metadata", "meta")
    assert set(fields_of({"$or": [{"a.0.b": 1}, {"c": {"$ne": {"d": 1}}}], "e": 2})) == {"a.b", "c", "e"}
