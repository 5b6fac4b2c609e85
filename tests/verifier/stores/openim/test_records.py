"""OpenIM's own MongoDB as relations: each slot with a message is a row without its text, and reading is bounded and
resumable."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.verifier.stores.mongo.world import MongoWorld
from verifier.judges.recorder import digest
from verifier.model.invariant import Row
from verifier.model.query import Rows, Where
from verifier.stores.errors import Missing
from verifier.stores.openim.records import SLOTS, BlockSource, MessageSource, collection_source
from verifier.stores.protocols import Source

pytestmark = pytest.mark.anyio

AT_MS = 1_760_000_000_123


def slot(text: str | None, **more: Any) -> dict[str, Any]:
    """A slot as OpenIM stores it; an empty one for None."""
    if text is None:
        return {"msg": None, "revoke": None, "del_list": [], "is_read": False}
    message = {
        "send_id": "a",
        "content_type": 101,
        "content": json.dumps({"content": text}),
        "send_time": AT_MS,
        "status": 2,
        "seq": 1,
    }
    return {"msg": {**message, "ex": "", **more}, "revoke": None, "del_list": ["b"], "is_read": True}


def block(name: str, number: int, filled: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """A document with a hundred slots."""
    return {"doc_id": f"{name}:{number}", "msgs": [filled.get(place, slot(None)) for place in range(SLOTS)]}


async def read(source: Source) -> list[Row]:
    """All rows."""
    return [row async for chunk in source.chunks() for row in chunk]


async def test_each_filled_slot_is_a_row(mongo: MongoWorld) -> None:
    """Seq and place follow from document and slot; instead of the text there is its digest, as in a journal."""
    mongo.database["msg"].insert_one(
        block("si_a_b", 2, {0: slot("first"), 99: slot("last", ex="{}", content_type=110)})
    )
    async with mongo.store() as store:
        rows = await read(MessageSource(store, Rows("openim_mongo.msg")))
    assert [(row["seq"], row["place"], row["digest"]) for row in rows] == [
        (201, "si_a_b:201", digest("first")),
        (300, "si_a_b:300", digest("last")),
    ]
    assert rows[0]["sent_at"] == datetime.fromtimestamp(AT_MS / 1000, UTC)
    assert "first" not in str(rows)


async def test_look_ups_return_exactly_the_named_records(mongo: MongoWorld) -> None:
    """By place, by conversation (not by a longer id that begins alike) and by document."""
    mongo.database["msg"].insert_many(
        [block("si_a_b", 0, {4: slot("x")}), block("si_a_b", 1, {0: slot("y")}), block("si_a_bc", 0, {4: slot("z")})]
    )
    async with mongo.store() as store:
        source = MessageSource(store, Rows("openim_mongo.msg"))
        assert [row["seq"] for row in await source.lookup("place", ["si_a_b:5", "si_a_b:6", "si_b:1", "nonsense"])] == [
            5
        ]
        assert [row["seq"] for row in await source.lookup("conversation_id", ["si_a_b"])] == [5, 101]
        assert [row["place"] for row in await source.lookup("doc_id", ["si_a_bc:0"])] == ["si_a_bc:5"]
        one = MessageSource(store, Rows("openim_mongo.msg", (), (Where("conversation_id", "=", "si_a_b"),)))
        assert {row["conversation_id"] for row in await read(one)} == {"si_a_b"}


async def test_blocks_have_the_bounds_of_their_messages(mongo: MongoWorld) -> None:
    """Lowest and highest seq with a message. A document without messages is not a block, but is a document."""
    mongo.database["msg"].insert_many([block("sg_g", 0, {}), block("sg_g", 1, {1: slot("x"), 7: slot("y")})])
    async with mongo.store() as store:
        rows = await read(BlockSource(store, Rows("openim_mongo.msg_block")))
        documents = await read(
            collection_source(
                store, Rows("openim_mongo.msg_document"), {"record": "text", "doc_id": "text"}, collection="msg"
            )
        )
    assert [(row["lowest"], row["highest"], row["filled"], row["before"]) for row in rows] == [(102, 108, 2, "sg_g:0")]
    assert [row["doc_id"] for row in documents] == ["sg_g:0", "sg_g:1"]


async def test_documents_of_another_form_are_omitted(mongo: MongoWorld) -> None:
    """A document or slot of another form is not a row and does not change the others."""
    mongo.database["msg"].insert_many(
        [
            {"doc_id": "si_a_b"},
            {"doc_id": 7, "msgs": []},
            {"doc_id": "si_a_b:0", "msgs": [None, 3, slot("x", content=None, seq=3)]},
            {},
        ]
    )
    async with mongo.store() as store:
        rows = await read(MessageSource(store, Rows("openim_mongo.msg")))
    assert [(row["seq"], row["is_text"]) for row in rows] == [(3, False)]


async def test_reading_resumes_after_a_position(mongo: MongoWorld) -> None:
    """Chunks are few documents, however large chunk_rows is, and a second reading starts after the position of the
    first."""
    mongo.database["msg"].insert_many([block("si_a_b", number, {0: slot("x")}) for number in range(130)])
    async with mongo.store() as store:
        first = MessageSource(store, Rows("openim_mongo.msg"))
        chunks = first.chunks()
        begun = [row["seq"] for row in await anext(chunks)]
        await chunks.aclose()  # type: ignore[attr-defined]
        rest = [
            row["seq"]
            async for chunk in MessageSource(store, Rows("openim_mongo.msg")).chunks(first.position)
            for row in chunk
        ]
    assert 0 < len(begun) <= 50
    assert begun + rest == [number * SLOTS + 1 for number in range(130)]


async def test_a_database_without_the_collection_is_an_error(mongo: MongoWorld) -> None:
    """Reading a collection that does not exist is an error, not an empty result."""
    async with mongo.store() as store:
        with pytest.raises(Missing):
            await read(MessageSource(store, Rows("openim_mongo.msg")))
