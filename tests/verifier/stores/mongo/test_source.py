"""Records of MongoDB: all of them, whatever type their ids have, and only the needed fields."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from bson import Binary, Decimal128, ObjectId, Timestamp

from tests.verifier.stores.mongo.world import MESSAGES, MongoWorld, at
from verifier.model.invariant import Row
from verifier.model.query import Rows, Where
from verifier.model.values import FOREVER, Unreadable
from verifier.profile.relations import Relation
from verifier.stores.errors import Forbidden, Missing, StoreError
from verifier.stores.protocols import Source

pytestmark = pytest.mark.anyio

OID = ObjectId("65f0c0ffee65f0c0ffee65f0")
MIXED_IDS: tuple[Any, ...] = (
    None,
    -1,
    2.5,
    7,
    "",
    "a",
    "a\u0000b",
    "x y:_😀",
    str(OID),
    {"conv": "c", "seq": 1},
    {"conv": "c", "seq": 2},
    uuid.UUID(int=9),  # no other binary beside it: this server's $gt and sort disagree on binaries of different length
    uuid.UUID(int=10),
    OID,
    True,
    at(1),
    Timestamp(5, 1),
)


def relation(**changes: Any) -> Relation:
    """The messages relation, with some settings changed."""
    return Relation.model_validate(MESSAGES.model_dump() | changes)


async def everything(source: Source) -> list[Row]:
    """All records of a source."""
    return [row async for chunk in source.chunks() for row in chunk]


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 5, 100])
async def test_ids_of_all_types_are_read(mongo: MongoWorld, chunk_rows: int) -> None:
    """`$gt` stays within one BSON type, and paging continues with the later types."""
    mongo.messages.insert_many([{"_id": value} for value in MIXED_IDS])
    async with mongo.store(chunk_rows=chunk_rows) as store:
        rows = await everything(store.source(MESSAGES, Rows("messages")))
    assert len(rows) == len(MIXED_IDS)
    assert len({row["message_id"] for row in rows}) == len(MIXED_IDS) - 1  # an ObjectId and its own text read alike


async def test_every_record_is_found_again_by_the_text_of_its_key(mongo: MongoWorld) -> None:
    """The second pass finds a suspect by the text of its key; otherwise a breach would count as healed."""
    mongo.messages.insert_many([{"_id": value} for value in MIXED_IDS if value is not None])
    async with mongo.store() as store:
        source = store.source(MESSAGES, Rows("messages"))
        for row in await everything(source):
            again = await source.lookup("message_id", [row["message_id"]])
            assert row["message_id"] in {item["message_id"] for item in again}, row


async def test_only_needed_fields_are_sent(mongo: MongoWorld) -> None:
    """Message texts are not read."""
    mongo.messages.insert_one({"_id": 1, "conv": "c", "body": "secret", "meta": {"seq": 5, "more": "x"}})
    async with mongo.store() as store:
        source = store.source(MESSAGES, Rows("messages", ("conversation_id", "sequence")))
        assert await everything(source) == [{"message_id": "1", "conversation_id": "c", "sequence": 5}]
        assert "body" not in source.queries[0]
        assert '"meta.seq": 1' in source.queries[0]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([Where("conversation_id", "=", "a")], "12"),
        ([Where("conversation_id", "!=", "a")], "34"),
        ([Where("conversation_id", "in", ("a", "b"))], "123"),
        ([Where("conversation_id", "is null")], "56"),
        ([Where("conversation_id", "not null")], "1234"),
        ([Where("created_at", ">", at(2))], "345"),
        ([Where("created_at", "<=", at(2)), Where("conversation_id", "=", "a")], "12"),
        ([Where("sequence", ">=", 2)], "245"),
        ([Where("deleted", "=", True)], "234"),
        ([Where("deleted", "=", False)], "1"),
    ],
)
async def test_conditions_mean_the_same_as_in_sql(
    mongo: MongoWorld, conditions: Sequence[Where], expected: str
) -> None:
    """Also where a service stored a number, a time or a flag as text. Record 5 cannot be compared, and passes as unreadable."""
    mongo.messages.insert_many(
        [
            {"_id": "1", "conv": "a", "at": at(1), "meta": {"seq": 1}, "deleted": False},
            {"_id": "2", "conv": "a", "at": at(2), "meta": {"seq": 2}, "deleted": True},
            {"_id": "3", "conv": "b", "at": at(3), "meta": {"seq": "1"}, "deleted": 1},
            {"_id": "4", "conv": "c", "at": at(4).isoformat(), "meta": {"seq": "9"}, "deleted": "true"},
            {"_id": "5", "conv": None, "at": "yesterday", "meta": {"seq": "many"}},
            {"_id": "6"},
        ]
    )
    async with mongo.store() as store:
        rows = await everything(store.source(MESSAGES, Rows("messages", where=tuple(conditions))))
    assert "".join(row["message_id"] for row in rows) == expected


async def test_where_may_be_extended_json(mongo: MongoWorld) -> None:
    """`where` of the profile narrows chunks and look-ups, also by ObjectIds, which TOML does not have."""
    mongo.messages.insert_many([{"_id": 1, "room": OID}, {"_id": 2, "room": str(OID)}])
    async with mongo.store() as store:
        source = store.source(relation(where={"room": {"$oid": str(OID)}}), Rows("messages"))
        assert [row["message_id"] for row in await everything(source)] == ["1"]
        assert [row["message_id"] for row in await source.lookup("message_id", ["1", "2"])] == ["1"]


async def test_looking_up_by_another_column(mongo: MongoWorld) -> None:
    """A look-up by a column that was not asked for returns it too."""
    mongo.messages.insert_many([{"_id": 1, "conv": OID}, {"_id": 2, "conv": "b"}, {"_id": 3}])
    async with mongo.store() as store:
        rows = await store.source(MESSAGES, Rows("messages")).lookup("conversation_id", [str(OID), "b", "c", None])
        assert [(row["message_id"], row["conversation_id"]) for row in rows] == [("1", str(OID)), ("2", "b")]
        assert await store.source(MESSAGES, Rows("messages")).lookup("conversation_id", []) == []


async def test_a_missing_collection_is_an_error(mongo: MongoWorld) -> None:
    """MongoDB returns nothing for a collection that does not exist; the source raises Missing."""
    mongo.database["mesages"].insert_one({})
    async with mongo.store() as store:
        source = store.source(MESSAGES, Rows("messages"))
        with pytest.raises(Missing, match="collection messages does not exist in database"):
            await everything(source)
        with pytest.raises(Missing):
            await source.lookup("message_id", ["1"])
        mongo.messages.insert_one({"_id": 1})
        assert len(await everything(source)) == 1


async def test_an_empty_collection_is_not_missing(mongo: MongoWorld) -> None:
    """An empty collection has no rows and is not an error."""
    mongo.database.create_collection("messages")
    async with mongo.store() as store:
        assert await everything(store.source(MESSAGES, Rows("messages"))) == []


async def test_filters_of_the_profile_are_checked_by_the_guard(mongo: MongoWorld) -> None:
    """JavaScript in `where` is refused before it is sent, and counted."""
    mongo.messages.insert_one({"_id": 1})
    async with mongo.store() as store:
        source = store.source(relation(where={"$where": "sleep(1000)"}), Rows("messages"))
        sent = store.statement_log.reads["find"]
        with pytest.raises(Forbidden, match=r"\$where"):
            await everything(source)
        assert store.statement_log.refused == 1
        assert store.statement_log.reads["find"] == sent


async def test_a_where_in_sql_is_an_error(mongo: MongoWorld) -> None:
    """The message shows the form that MongoDB takes."""
    mongo.messages.insert_one({"_id": 1})
    async with mongo.store() as store:
        with pytest.raises(StoreError, match="MongoDB takes a table"):
            await store.source(relation(where="type = 'chat'"), Rows("messages")).lookup("message_id", ["1"])


async def test_chunks_larger_than_a_batch_are_complete(mongo: MongoWorld) -> None:
    """Chunks that exceed the server's 16 MB for one batch are still read completely."""
    mongo.messages.insert_many([{"_id": number, "conv": "x" * 1_000_000} for number in range(20)])
    async with mongo.store() as store:
        rows = await everything(store.source(MESSAGES, Rows("messages", ("conversation_id",))))
    assert len(rows) == 20
    assert all(len(row["conversation_id"]) == 1_000_000 for row in rows)


async def test_a_path_may_name_an_item_of_a_list(mongo: MongoWorld) -> None:
    """A projection cannot select one item of a list; the source reads the list and selects it."""
    mongo.messages.insert_one({"_id": 1, "members": [{"id": "a"}, {"id": "b"}]})
    columns = {"message_id": "_id", "second": "members.1.id", "all": {"column": "members.id", "type": "json"}}
    async with mongo.store() as store:
        source = store.source(relation(columns=columns), Rows("messages", ("second", "all")))
        assert await everything(source) == [{"message_id": "1", "second": "b", "all": ["a", "b"]}]


MIXED_TIMES: tuple[Any, ...] = (
    at(1), at(9), None, at(9).isoformat(), "yesterday", "", 1_772_366_400_000, 2.5, math.nan, True, OID,
    Decimal128("1"), {"a": 1}, [1], Binary(b"x"), Timestamp(1_772_366_409, 1),
)  # fmt: skip


async def test_a_comparison_loses_no_document_of_another_type(mongo: MongoWorld) -> None:
    """What `$gt` on a date leaves out by its type is converted, or reaches the proof as unreadable."""
    mongo.messages.insert_many([{"_id": number, "at": value} for number, value in enumerate(MIXED_TIMES)])
    mongo.messages.insert_one({"_id": len(MIXED_TIMES)})
    async with mongo.store(chunk_rows=3) as store:
        source = store.source(MESSAGES, Rows("messages", ("created_at",), (Where("created_at", ">", at(5)),)))
        rows = {int(row["message_id"]): row["created_at"] for row in await everything(source)}
        account = await source.completeness()
    readable = {number for number, value in rows.items() if not isinstance(value, Unreadable)}
    assert readable == {1, 3, 15}
    assert rows.keys() - readable == {4, 6, 7, 8, 9, 11, 12, 13, 14}
    assert account.counted == len(rows)


@pytest.mark.parametrize(("declared", "stored", "expected"), [
    ("epoch_ms", 1_900_000_000, "unreadable"),
    ("epoch_s", 1_900_000_000_000, "unreadable"),
    ("epoch_s", 0, "forever"),
    ("epoch_s", None, "forever"),
    ("epoch_s", -1, "forever"),
    ("epoch_s", 1_900_000_000, "time"),
    ("epoch_s", 1_000_000_000, "out"),
    ("timestamp", None, "forever"),
])  # fmt: skip
async def test_ends_and_units(mongo: MongoWorld, declared: str, stored: Any, expected: str) -> None:
    """A filter on an end passes what never ends, and times in a unit that looks wrong."""
    mongo.messages.insert_one({"_id": "1", "until": stored})
    columns = {"message_id": "_id", "expires_at": {"column": "until", "type": declared}}
    async with mongo.store() as store:
        source = store.source(
            relation(columns=columns), Rows("messages", ("expires_at",), (Where("expires_at", ">", at(1)),))
        )
        found = [row["expires_at"] for row in await everything(source)]
        assert (await source.completeness()).counted == len(found)
    kinds = [
        "unreadable" if isinstance(item, Unreadable) else "forever" if item == FOREVER else "time" for item in found
    ]
    assert kinds == ([] if expected == "out" else [expected])


async def test_a_time_in_a_column_that_is_not_declared_as_one_is_an_error(mongo: MongoWorld) -> None:
    """Every document would drop out of the comparison, and the relation would look empty."""
    mongo.messages.insert_one({"_id": 1, "at": at(1)})
    async with mongo.store() as store:
        source = store.source(
            relation(columns={"message_id": "_id", "created_at": "at"}),
            Rows("messages", where=(Where("created_at", ">", at(0)),)),
        )
        with pytest.raises(StoreError, match="compared with a time and declared as text"):
            await everything(source)


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
async def test_ids_that_are_not_a_number_do_not_hide_the_numbers(mongo: MongoWorld, chunk_rows: int) -> None:
    """NaN sorts first among numbers, and no number is greater than it."""
    mongo.messages.insert_many([{"_id": value} for value in (math.nan, -math.inf, -1, 5, "x")])
    async with mongo.store(chunk_rows=chunk_rows) as store:
        source = store.source(MESSAGES, Rows("messages"))
        assert len(await everything(source)) == 5
        assert (await source.completeness()).counted == 5


async def test_completeness_of_a_view(mongo: MongoWorld) -> None:
    """A view that shows only some documents hides the others; any other view is named."""
    mongo.messages.insert_many([{"_id": number} for number in range(4)])
    mongo.database.create_collection("some", viewOn="messages", pipeline=[{"$limit": 2}])
    mongo.database.create_collection("chosen", viewOn="messages", pipeline=[{"$match": {"_id": {"$gt": 1}}}])
    async with mongo.store() as store:
        plain = await store.source(MESSAGES, Rows("messages")).completeness()
        some = await store.source(relation(collection="some"), Rows("messages")).completeness()
        chosen = await store.source(relation(collection="chosen"), Rows("messages")).completeness()
    assert (plain.counted, plain.hidden, plain.unseen) == (4, (), ())
    assert "$limit" in some.hidden[0]
    assert chosen.unseen == ("documents that view chosen leaves out",)
