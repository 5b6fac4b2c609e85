"""What the double leaves in its database, read past it: OpenIM's collections, fields, types and indexes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64
from pymongo.errors import DuplicateKeyError

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.openim import messages
from fixtures.openim.records import Message
from fixtures.openim.state import State
from fixtures.openim.storage.seqs import reserved
from suites.selftest.openim.databases import Place
from suites.selftest.openim.doubles import ADMIN, Clock, in_process

pytestmark = pytest.mark.anyio

EMPTY: dict[str, Any] = {"msg": None, "revoke": None, "del_list": [], "is_read": False}
MESSAGE_FIELDS = (
    "send_id recv_id group_id client_msg_id server_msg_id sender_platform_id sender_nickname sender_face_url "
    "session_type msg_from content_type content seq send_time create_time status is_read options offline_push "
    "at_user_id_list attached_info ex"
).split()


@pytest.fixture
def durable(place: Place, clock: Clock) -> State:
    """A double's state in the database."""
    return place.state(clock)


async def people(im: OpenIMRest) -> None:
    """Ann and Ben."""
    await im.user_register([{"userID": "ann", "nickname": "Ann", "ex": "x"}, {"userID": "ben", "nickname": "Ben"}])


def shown(document: dict[str, Any] | None) -> dict[str, Any]:
    """A document without its id."""
    assert document is not None
    return {name: value for name, value in document.items() if name != "_id"}


async def test_a_user_is_openims_document(durable: State, place: Place, clock: Clock) -> None:
    """Registering writes `user` with OpenIM's fields, its time as a date, and no other collection but the token's."""
    async with in_process(durable) as im:
        await people(im)
    assert shown(place.read["user"].find_one({"user_id": "ann"})) == {
        "user_id": "ann",
        "nickname": "Ann",
        "face_url": "",
        "ex": "x",
        "app_manger_level": 0,
        "global_recv_msg_opt": 0,
        "create_time": datetime.fromtimestamp(clock.now_s, UTC),
    }
    held = {name for name in place.read.list_collection_names() if place.read[name].find_one()}
    assert held == {"user", "cache"}
    durable.close()


async def test_a_message_stands_in_the_slot_of_its_seq(durable: State, place: Place) -> None:
    """`<conversation>:<(seq-1)/100>`, always 100 slots, int64 seqs and times, content as JSON text, the rest empty."""
    async with in_process(durable) as im:
        await people(im)
        for number in range(101):
            await im.send_msg("ann", {"content": f"number {number}"}, recv_id="ben")
    first, second = place.read["msg"].find().sort("_id", 1)
    assert (first["doc_id"], second["doc_id"]) == ("si_ann_ben:0", "si_ann_ben:1")
    assert [len(document["msgs"]) for document in (first, second)] == [100, 100]
    assert second["msgs"][1:] == [EMPTY] * 99
    assert [slot["msg"]["seq"] for slot in [*first["msgs"], second["msgs"][0]]] == list(range(1, 102))
    message = second["msgs"][0]["msg"]
    assert sorted(message) == sorted(MESSAGE_FIELDS)
    assert message["content"] == '{"content":"number 100"}'
    assert all(isinstance(message[name], Int64) for name in ("seq", "send_time", "create_time"))
    durable.close()


async def test_a_message_of_a_client_is_stored_as_sent(durable: State, place: Place) -> None:
    """A client says status 1, "sending", which the cache shows; the database has 2, "sent", as recorded pulls show."""
    message = Message("ann", "ben", 1, 101, "{}", "c", "s", 1, 1, status=messages.SENDING)
    messages.deliver(durable, message, operation_id="op")
    assert durable.close()
    document = place.read["msg"].find_one({"doc_id": "si_ann_ben:0"})
    assert document is not None
    assert document["msgs"][0]["msg"]["status"] == messages.SENT


async def test_marks_are_set_in_the_slot(durable: State, place: Place) -> None:
    """Read, revoked, deleted for one and deleted for all change the one slot; revoking keeps the message."""
    async with in_process(durable) as im:
        await people(im)
        for number in range(5):
            await im.send_msg("ann", {"content": str(number)}, recv_id="ben")
        owner = {"conversationID": "si_ann_ben", "userID": "ben"}
        await im.call("/msg/mark_msgs_as_read", {**owner, "seqs": [1]})
        await im.call("/msg/revoke_msg", {"userID": "ann", "conversationID": "si_ann_ben", "seq": 2})
        await im.call("/msg/delete_msgs", {**owner, "seqs": [3]})
        await im.call("/msg/delete_msg_phsical_by_seq", {"conversationID": "si_ann_ben", "seqs": [4]})
    document = place.read["msg"].find_one({"doc_id": "si_ann_ben:0"})
    assert document is not None
    read, revoked, hidden, removed, plain = document["msgs"][:5]
    assert (read["is_read"], plain["is_read"]) == (True, False)
    assert revoked["revoke"] == {"role": 0, "user_id": "ann", "nickname": "Ann", "time": durable.now_ms()}
    assert revoked["msg"]["content"] == '{"content":"1"}'
    assert hidden["del_list"] == ["ben"]
    assert {name: removed[name] for name in EMPTY} == EMPTY
    assert (plain["revoke"], plain["del_list"]) == (None, [])
    durable.close()


async def test_seq_runs_ahead_of_the_real_maximum(durable: State, place: Place) -> None:
    """`seq.max_seq` is the end of the reserved block, 51 or in a group 101; the real one stands in `cache` (trap T15)."""
    async with in_process(durable) as im:
        await people(im)
        for _ in range(51):
            await im.send_msg("ann", {"content": "x"}, recv_id="ben")
        assert place.read["seq"].distinct("max_seq", {"conversation_id": "si_ann_ben"}) == [51]
        await im.send_msg("ann", {"content": "x"}, recv_id="ben")
        group = await im.create_group("ann", name="G", member_user_ids=["ben"])
    single = place.read["seq"].find_one({"conversation_id": "si_ann_ben"})
    assert shown(single) == {"conversation_id": "si_ann_ben", "max_seq": 102, "min_seq": 0}
    entry = place.read["cache"].find_one({"key": "MALLOC_SEQ:si_ann_ben"})
    assert entry is not None
    assert json.loads(entry["value"]) == {"CURR": 52, "LAST": 102, "TIME": durable.now_ms()}
    in_group = place.read["seq"].find_one({"conversation_id": f"sg_{group['groupID']}"})
    assert shown(in_group)["max_seq"] == 101
    durable.close()


@pytest.mark.parametrize(
    ("conversation", "max_seq", "end"),
    [
        ("si_a_b", 0, 0),
        ("si_a_b", 1, 51),
        ("si_a_b", 51, 51),
        ("si_a_b", 52, 102),
        ("sg_g", 101, 101),
        ("n_g", 60, 102),
    ],
)
async def test_blocks_of_seqs(conversation: str, max_seq: int, end: int) -> None:
    """A block is what is needed and 50 more, in a group 100; a group's notifications count as no group."""
    assert reserved(conversation, max_seq) == end


async def test_a_lost_cache_jumps_to_the_end_of_the_block(durable: State, place: Place, clock: Clock) -> None:
    """Without its `cache` entry a conversation goes on behind its block, which leaves a hole (trap T15)."""
    async with in_process(durable) as im:
        await people(im)
        await im.send_msg("ann", {"content": "x"}, recv_id="ben")
    durable.close()
    place.read["cache"].delete_one({"key": "MALLOC_SEQ:si_ann_ben"})
    reopened = place.state(clock)
    async with in_process(reopened) as im:
        await im.send_msg("ann", {"content": "y"}, recv_id="ben")
        assert (await im.newest_seq("ann"))["si_ann_ben"] == 52
    reopened.close()


async def test_read_positions_and_conversations(durable: State, place: Place, clock: Clock) -> None:
    """`seq_user` holds int64 bounds for each user, `conversation` a document for each owner with dates."""
    async with in_process(durable) as im:
        await people(im)
        await im.send_msg("ann", {"content": "x"}, recv_id="ben")
        await im.mark_conversation_as_read("ben", "si_ann_ben", 1)
    where = {"conversation_id": "si_ann_ben", "user_id": "ben"}
    position = shown(place.read["seq_user"].find_one(where))
    assert position == {**where, "min_seq": 0, "max_seq": 0, "read_seq": 1}
    assert isinstance(position["read_seq"], Int64)
    own = shown(place.read["conversation"].find_one({"owner_user_id": "ben", "conversation_id": "si_ann_ben"}))
    assert (own["conversation_type"], own["user_id"], own["is_pinned"]) == (1, "ann", False)
    assert own["create_time"] == datetime.fromtimestamp(clock.now_s, UTC)
    assert own["latest_msg_destruct_time"] == datetime.min.replace(tzinfo=UTC)
    durable.close()


async def test_token_states_stand_in_the_cache(durable: State, place: Place, clock: Clock) -> None:
    """One entry for each token, "0" normal or "2" kicked, for 90 days; an older admin token has its grace of 300 s."""
    async with in_process(durable) as im:
        await people(im)
        older = (await im.get_user_token("ann", 1)).token
        admin = await im.admin_token()
        clock.now_s += 2
        newer = (await im.get_user_token("ann", 1)).token
        await im.call("/auth/get_admin_token", {"secret": "a-secret", "userID": ADMIN})
    entries = {entry["key"]: entry for entry in place.read["cache"].find()}
    prefix = "UID_PID_TOKEN_STATUS:ann:IOS:"
    assert (entries[prefix + older]["value"], entries[prefix + newer]["value"]) == ("2", "0")
    lifetime = entries[prefix + newer]["expire_at"] - datetime.fromtimestamp(clock.now_s, UTC)
    assert lifetime.days == 90
    assert f"UID_PID_TOKEN_STATUS:{ADMIN}:Admin:{admin}" not in entries
    grace = entries[f"UID_PID_TOKEN_STATUS::TEMPORARY:{ADMIN}:Admin:{admin}"]
    assert (grace["value"], grace["expire_at"].timestamp()) == ("", clock.now_s + 300)
    durable.close()


async def test_version_logs_keep_the_last_change_of_an_entry(durable: State, place: Place) -> None:
    """A log's id is its version id; an entry stands in it once, latest last, deleted ones marked."""
    async with in_process(durable) as im:
        await people(im)
        first = await im.create_group("ann", name="G", member_user_ids=["ben"])
        second = await im.create_group("ann", name="H", member_user_ids=["ben"])
        await im.kick_group(first["groupID"], ["ben"])
        told = await im.call("/group/get_incremental_join_groups", {"userID": "ben"})
    log = place.read["group_join_version"].find_one({"d_id": "ben"})
    assert log is not None
    entries = [(entry["e_id"], entry["deleted"], entry["version"]) for entry in log["logs"]]
    assert entries == [(second["groupID"], False, 2), (first["groupID"], True, 3)]
    assert (str(log["_id"]), log["version"], log["deleted"]) == (told["versionID"], 3, 0)
    durable.close()


@pytest.mark.parametrize(
    ("collection", "fields"),
    [
        ("user", ["user_id"]),
        ("msg", ["doc_id"]),
        ("cache", ["key"]),
        ("conversation", ["owner_user_id", "conversation_id"]),
        ("group", ["group_id"]),
        ("group_member", ["group_id", "user_id"]),
        ("group_request", ["group_id", "user_id"]),
        ("friend", ["owner_user_id", "friend_user_id"]),
        ("friend_request", ["from_user_id", "to_user_id"]),
        ("black", ["owner_user_id", "block_user_id"]),
        ("config", ["key", "user_id"]),
    ],
)
async def test_pairs_are_unique(durable: State, place: Place, collection: str, fields: list[str]) -> None:
    """A second document of a pair is refused by the database itself."""
    place.read[collection].insert_one(dict.fromkeys(fields, "same"))
    with pytest.raises(DuplicateKeyError):
        place.read[collection].insert_one(dict.fromkeys(fields, "same"))
    durable.close()


async def test_seqs_are_not_unique(durable: State, place: Place) -> None:
    """Two documents of one conversation in `seq` are possible, as on the real server (trap T15)."""
    place.read["seq"].insert_many([{"conversation_id": "x", "max_seq": 1}, {"conversation_id": "x", "max_seq": 2}])
    assert place.read["seq"].count_documents({"conversation_id": "x"}) == 2
    durable.close()
