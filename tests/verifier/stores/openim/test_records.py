"""OpenIM's own MongoDB as relations: each slot with a message is a row, no text leaves the reader, reading is bounded and goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.verifier.stores.mongo_world import MongoWorld
from verifier.judges.recorder import digest
from verifier.model.invariant import Row
from verifier.model.query import Rows, Where
from verifier.profile.errors import NotMapped
from verifier.stores.errors import Missing
from verifier.stores.openim.content import urls_in
from verifier.stores.openim.records import SLOTS, source_of
from verifier.stores.protocols import Source

pytestmark = pytest.mark.anyio

AT_MS = 1_760_000_000_123


def slot(text: str | None, **more: Any) -> dict[str, Any]:
    """A slot as OpenIM stores it; None: an empty one."""
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
    """A document of a hundred slots."""
    return {"doc_id": f"{name}:{number}", "msgs": [filled.get(place, slot(None)) for place in range(SLOTS)]}


async def read(source: Source) -> list[Row]:
    """All rows."""
    return [row async for chunk in source.chunks() for row in chunk]


async def test_each_filled_slot_is_a_row(mongo: MongoWorld) -> None:
    """Seq and place come from document and slot; the text is only told by the digest that a journal has of it."""
    mongo.database["msg"].insert_one(
        block("si_a_b", 2, {0: slot("first"), 99: slot("last", ex="{}", content_type=110)})
    )
    async with mongo.store() as store:
        rows = await read(source_of(store, Rows("openim_mongo.msg")))
    assert [(row["seq"], row["place"], row["digest"]) for row in rows] == [
        (201, "si_a_b:201", digest("first")),
        (300, "si_a_b:300", digest("last")),
    ]
    assert rows[0]["sent_at"] == datetime.fromtimestamp(AT_MS / 1000, UTC)
    assert "first" not in str(rows)


async def test_look_ups_meet_exactly_what_they_name(mongo: MongoWorld) -> None:
    """By place, by conversation (no other whose id begins so), by document; what is not there is no row."""
    mongo.database["msg"].insert_many(
        [block("si_a_b", 0, {4: slot("x")}), block("si_a_b", 1, {0: slot("y")}), block("si_a_bc", 0, {4: slot("z")})]
    )
    async with mongo.store() as store:
        source = source_of(store, Rows("openim_mongo.msg"))
        assert [row["seq"] for row in await source.lookup("place", ["si_a_b:5", "si_a_b:6", "si_b:1", "nonsense"])] == [
            5
        ]
        assert [row["seq"] for row in await source.lookup("conversation_id", ["si_a_b"])] == [5, 101]
        assert [row["place"] for row in await source.lookup("doc_id", ["si_a_bc:0"])] == ["si_a_bc:5"]
        one = source_of(store, Rows("openim_mongo.msg", (), (Where("conversation_id", "=", "si_a_b"),)))
        assert {row["conversation_id"] for row in await read(one)} == {"si_a_b"}


async def test_blocks_tell_their_bounds(mongo: MongoWorld) -> None:
    """Lowest and highest seq with a message; a document whose messages were all deleted is no block, but is a document."""
    mongo.database["msg"].insert_many([block("sg_g", 0, {}), block("sg_g", 1, {1: slot("x"), 7: slot("y")})])
    async with mongo.store() as store:
        rows = await read(source_of(store, Rows("openim_mongo.msg_block")))
        documents = await read(source_of(store, Rows("openim_mongo.msg_document")))
    assert [(row["lowest"], row["highest"], row["filled"], row["before"]) for row in rows] == [(102, 108, 2, "sg_g:0")]
    assert [row["doc_id"] for row in documents] == ["sg_g:0", "sg_g:1"]


async def test_odd_documents_are_left_out(mongo: MongoWorld) -> None:
    """What is none of OpenIM's documents, or a slot that is none, is no row, moves no other and is no crash."""
    mongo.database["msg"].insert_many(
        [
            {"doc_id": "si_a_b"},
            {"doc_id": 7, "msgs": []},
            {"doc_id": "si_a_b:0", "msgs": [None, 3, slot("x", content=None, seq=3)]},
            {},
        ]
    )
    async with mongo.store() as store:
        rows = await read(source_of(store, Rows("openim_mongo.msg")))
    assert [(row["seq"], row["is_text"]) for row in rows] == [(3, False)]


async def test_reading_goes_on_behind_a_position(mongo: MongoWorld) -> None:
    """Chunks are few documents, however large chunk_rows is, and a second reading begins where the first one was."""
    mongo.database["msg"].insert_many([block("si_a_b", number, {0: slot("x")}) for number in range(130)])
    async with mongo.store() as store:
        first = source_of(store, Rows("openim_mongo.msg"))
        chunks = first.chunks()
        begun = [row["seq"] for row in await anext(chunks)]
        await chunks.aclose()  # type: ignore[attr-defined]
        rest = [
            row["seq"]
            async for chunk in source_of(store, Rows("openim_mongo.msg")).chunks(first.position)
            for row in chunk
        ]
    assert 0 < len(begun) <= 50
    assert begun + rest == [number * SLOTS + 1 for number in range(130)]


async def test_another_database_is_told(mongo: MongoWorld) -> None:
    """Where there is no such collection, nothing is judged; an unknown relation is not mapped."""
    async with mongo.store() as store:
        with pytest.raises(Missing):
            await read(source_of(store, Rows("openim_mongo.msg")))
        with pytest.raises(NotMapped):
            source_of(store, Rows("openim_mongo.friend"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"sourcePicture": {"url": "https://a/1"}, "snapshotPicture": {"url": "https://a/1"}}', ["https://a/1"]),
        ('{"data": "{\\"media\\": [\\"http://a/2?x=1\\"]}", "description": "see https://a/3"}', ["http://a/2?x=1"]),
        ("https://a/4", []),
        ("[" * 100_000, []),
    ],
    ids=["picture", "custom", "no JSON", "too deep"],
)
def test_addresses_in_a_content(content: str, found: list[str]) -> None:
    """Whole values, once each, also within the JSON that a custom message carries as a text."""
    assert list(urls_in(content)) == found
