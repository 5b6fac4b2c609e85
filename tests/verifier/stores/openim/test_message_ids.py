"""Whether a message exists in OpenIM's database: by its place and by either of its ids, without its text."""

from __future__ import annotations

import pytest

from tests.verifier.stores.mongo.world import MongoWorld
from tests.verifier.stores.openim.test_records import block, slot
from verifier.model.query import Rows
from verifier.stores.openim.message_ids import MessageIdSource

pytestmark = pytest.mark.anyio


async def test_messages_are_found_by_place_and_by_id(mongo: MongoWorld) -> None:
    """Each message has two ids; an id that nobody has, an empty one and a deleted message have no record."""
    first = slot("first", client_msg_id="c1", server_msg_id="s1")
    other = slot("other", client_msg_id="c2", server_msg_id="s2")
    mongo.database["msg"].insert_many([block("si_a_b", 0, {0: first, 6: other}), block("sg_g", 0, {0: slot("old")})])
    async with mongo.store() as store:
        source = MessageIdSource(store, Rows("openim_mongo.msg_id"))
        by_place = await source.lookup("place", ["si_a_b:7", "si_a_b:8", "si_x_y:1"])
        by_id = await source.lookup("message_id", ["c1", "s2", "nobody", ""])
    assert {(row["place"], row["message_id"]) for row in by_place} == {("si_a_b:7", "c2"), ("si_a_b:7", "s2")}
    assert {(row["place"], row["message_id"]) for row in by_id} == {("si_a_b:1", "c1"), ("si_a_b:7", "s2")}
    assert "first" not in str(by_place)
