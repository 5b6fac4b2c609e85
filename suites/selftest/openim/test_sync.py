"""Incremental sync as client SDKs use it: everything anew at first, then only what changed."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.openim import versions
from fixtures.openim.state import State
from suites.selftest.openim.doubles import in_process

pytestmark = pytest.mark.anyio


async def changes(im: OpenIMRest, route: str, user_id: str, before: dict[str, Any]) -> dict[str, Any]:
    """What changed since an earlier answer."""
    known = {"versionID": before["versionID"], "version": before["version"]}
    answer: dict[str, Any] = await im.call(route, {"userID": user_id, **known})
    return answer


NOTHING: dict[str, Any] = {"versionID": "", "version": 0}


async def test_the_first_sync_reads_all_and_the_next_ones_changes(state: State) -> None:
    """Version 1 when nothing ever happened, one more with each change, the same versionID for ever."""
    route = "/group/get_incremental_join_groups"
    async with in_process(state) as im:
        await im.user_register([{"userID": name, "nickname": name} for name in ("ann", "ben")])
        empty = await changes(im, route, "ben", NOTHING)
        assert (empty["version"], empty["full"], empty["insert"], len(empty["versionID"])) == (1, True, None, 24)
        ids = await im.call("/group/get_full_join_group_ids", {"userID": "ben", "idHash": 0})
        assert (ids["equal"], ids["groupIDs"]) == (True, None)
        await im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
        added = await changes(im, route, "ben", empty)
        assert (added["version"], added["full"], added["versionID"]) == (2, False, empty["versionID"])
        assert [row["groupID"] for row in added["insert"]] == ["g"]
        await im.call("/group/set_group_info", {"groupInfoForSet": {"groupID": "g", "groupName": "H"}})
        renamed = await changes(im, route, "ben", added)
        assert [row["groupName"] for row in renamed["update"]] == ["H"]
        await im.kick_group("g", ["ben"])
        gone = await changes(im, route, "ben", renamed)
        assert (gone["delete"], gone["insert"], gone["update"]) == (["g"], None, None)
        assert (await changes(im, route, "ben", gone))["version"] == gone["version"]


async def test_members_conversations_and_friends_sync_too(state: State) -> None:
    """A new nickname is an update of the group's members and of the friends; a first message a new conversation."""
    async with in_process(state) as im:
        await im.user_register([{"userID": name, "nickname": name} for name in ("ann", "ben")])
        await im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
        await im.import_friends("ann", ["ben"])
        batch = "/group/get_incremental_group_members_batch"
        first = await im.call(batch, {"userID": "ben", "reqList": [{"groupID": "g", **NOTHING}]})
        members = first["respList"]["g"]
        friends = await changes(im, "/friend/get_incremental_friends", "ben", NOTHING)
        conversations = await changes(im, "/conversation/get_incremental_conversations", "ben", NOTHING)
        assert members["full"]
        await im.update_user_info("ann", nickname="Ann the second")
        await im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        known = {"groupID": "g", "versionID": members["versionID"], "version": members["version"]}
        again = (await im.call(batch, {"userID": "ben", "reqList": [known]}))["respList"]["g"]
        assert [row["nickname"] for row in again["update"]] == ["Ann the second"]
        friends = await changes(im, "/friend/get_incremental_friends", "ben", friends)
        assert [row["friendUser"]["nickname"] for row in friends["update"]] == ["Ann the second"]
        new = await changes(im, "/conversation/get_incremental_conversations", "ben", conversations)
        assert [row["conversationID"] for row in new["insert"]] == ["si_ann_ben"]


async def test_a_known_hash_spares_the_list(state: State) -> None:
    """`equal` with no ids when the client has them all."""
    async with in_process(state) as im:
        await im.user_register([{"userID": name, "nickname": name} for name in ("ann", "ben", "cyd")])
        await im.import_friends("ann", ["cyd", "ben"])
        route = "/friend/get_full_friend_user_ids"
        full = await im.call(route, {"userID": "ann", "idHash": 0})
        assert (full["equal"], full["userIDs"]) == (False, ["ben", "cyd"])
        known = await im.call(route, {"userID": "ann", "idHash": versions.hash_ids(["ben", "cyd"])})
        assert (known["equal"], known["userIDs"]) == (True, None)
