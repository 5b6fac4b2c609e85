"""Single chats that two pairs of users share: their ids, OpenIM's messages, and its REST API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.services.openim_double import DoubleProcess, running_double
from tests.verifier.stores.mongo.world import MongoWorld
from tests.verifier.stores.openim.test_records import block, read, slot
from verifier.model.query import Rows
from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import OpenIMRole
from verifier.stores.openim.conversation_ids import conversation_of, is_ambiguous, pair_text, pairs_of
from verifier.stores.openim.pairs import PairSource, SharedChatSource
from verifier.stores.openim.store import OpenIMStore

pytestmark = pytest.mark.anyio


def message(sender: str, receiver: str) -> dict[str, Any]:
    """A slot with a message of a pair."""
    return slot("text", send_id=sender, recv_id=receiver)


def test_an_id_with_three_parts_fits_two_pairs() -> None:
    """Both pairs make the same id; a pair in the other order is the same pair, and a prefix adds splits that no pair has."""
    assert set(map(pair_text, pairs_of("si_a_b_c"))) == {"a and b_c", "a_b and c"}
    assert {conversation_of(pair) for pair in (("a", "b_c"), ("b_c", "a"), ("c", "a_b"))} == {"si_a_b_c"}
    assert pairs_of("si_b_a") == []  # ids are sorted, so no pair makes it
    assert [is_ambiguous(name) for name in ("si_a_b", "si_a_b_c", "sg_a_b_c_d")] == [False, True, False]


async def test_pairs_are_read_from_the_messages(mongo: MongoWorld) -> None:
    """One row per pair and document, both directions being one pair; notices and other conversations have none."""
    mongo.database["msg"].insert_many(
        [
            block("si_a_b_c", 0, {0: message("a", "b_c"), 1: message("b_c", "a"), 2: message("imAdmin", "a")}),
            block("si_a_b_c", 1, {0: message("c", "a_b")}),
            block("si_a_b", 0, {0: message("a", "b")}),
            block("sg_a_b_c", 0, {0: message("a", "")}),
        ]
    )
    async with mongo.store() as store:
        source = PairSource(store, Rows("openim_mongo.msg_pair"))
        rows = await read(source)
        found = await source.lookup("conversation_id", ["si_a_b_c"])
    assert rows == list(found)
    assert [row["pair"] for row in rows] == ["a and b_c", "a_b and c"]


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoubleProcess]:
    """An OpenIM double."""
    with running_double(tmp_path_factory.mktemp("double") / "log", admin="ssotVerifier") as process:
        yield process


async def test_shared_chats_are_found_by_rest(double: DoubleProcess) -> None:
    """Of the users with `_` only those are asked for whose ids can be mistaken, and a chat counts if both pairs have it."""
    im = OpenIMRest(double.api_url, secret=double.secret, admin_user_id=double.admin)
    ids = ["a", "b_c", "a_b", "c", "d", "e_f", "d_e", "f", "g_h", "i"]
    await im.user_register([{"userID": name, "nickname": name, "faceURL": ""} for name in ids])
    for sender, receiver in (("a", "b_c"), ("c", "a_b"), ("d", "e_f"), ("g_h", "i")):
        await im.send_msg(sender, {"content": "x"}, recv_id=receiver)
    role = OpenIMRole(api_url=double.api_url, secret=double.secret, admin_user_id=double.admin)
    store = OpenIMStore("openim", role, StoreBudget())
    await store.connect()
    try:
        found = await SharedChatSource(store).lookup("user_id", ids)
    finally:
        await store.close()
        await im.aclose()
    assert {(row["user_id"], row["pair"], row["other"]) for row in found} == {
        ("b_c", "a and b_c", "a_b and c"),
        ("a_b", "a_b and c", "a and b_c"),
    }
