"""Lists that OpenIM sends whole: the conversations, groups and friends of a user, and the members of a group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from verifier.model.invariant import Row
from verifier.stores.openim.answers import (
    Answered,
    Item,
    StrangeAnswer,
    boolean,
    listed,
    mapping,
    number,
    text,
    texts,
    time_ms,
)
from verifier.stores.openim.client import OpenIMClient, OpenIMRefusal
from verifier.stores.openim.lookups import NOT_NAMED, groups, in_batches, read_named

OWNER = 100
DISMISSED = 2
NO_SUCH_GROUP = (1201, 1204)
"""Unknown, dismissed: such a group has no list of members [F47, F50]."""
NO_HASH = 1
"""A hash that no list has, but for one chance in 2^64."""


def hash_of(ids: Sequence[str]) -> int:
    """OpenIM's hash of a list of ids, as its clients send it in `idHash` [F131]; 0 for an empty list."""
    if not ids:
        return 0
    written = json.dumps(list(ids), ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        written = written.replace(char, f"\\u{ord(char):04x}")
    return int.from_bytes(hashlib.md5(written.encode("utf-8", "replace"), usedforsecurity=False).digest()[:8])


async def whole_list(client: OpenIMClient, route: str, name: str, body: dict[str, str]) -> list[str]:
    """A list that OpenIM sends without paging. It is whole if OpenIM, asked again with the list's hash, calls it equal.

    The answers do not name the owner, but the id of the list's own log [F131], which must be the same in both. An empty list
    must be unequal to another hash, so that it is not an answer from a cache. Raises StrangeAnswer where this fails twice: the
    list was cut or confused with another one on the way, or it keeps changing.
    """
    for _ in range(2):
        first = mapping(await client.call(route, {**body, "idHash": 0}))
        ids, is_empty = texts(first, name), boolean(first, "equal")
        again = mapping(await client.call(route, {**body, "idHash": hash_of(ids) or NO_HASH}))
        same_list = text(first, "versionID") == text(again, "versionID") and not texts(again, name)
        if same_list and is_empty is not bool(ids) and boolean(again, "equal") is bool(ids):
            return ids
    raise StrangeAnswer(
        f"{name} does not have the hash that OpenIM has of it (idHash): the list was cut on the way, or it keeps changing"
    )


async def conversation_ids(client: OpenIMClient, owner: str) -> list[Row]:
    """`openim.conversation_ids` of one owner."""
    return [{"owner_id": owner, "conversation_id": name} for name in await conversation_names(client, owner)]


async def conversation_names(client: OpenIMClient, owner: str) -> list[str]:
    """The ids of the conversations of one owner."""
    return await whole_list(client, "/conversation/get_full_conversation_ids", "conversationIDs", {"userID": owner})


async def conversations(client: OpenIMClient, owner: str) -> list[Row]:
    """`openim.conversations` of one owner. The list has no hash, so it must have the ids of the list that has one."""
    for _ in range(2):
        data = await client.call("/conversation/get_all_conversations", {"ownerUserID": owner})
        rows = [_conversation(item, owner) for item in map(mapping, listed(data, "conversations"))]
        ids = await conversation_names(client, owner)
        if sorted(row["conversation_id"] for row in rows) == sorted(ids):
            return rows
    raise StrangeAnswer(
        "conversations has others than get_full_conversation_ids: the list was cut, or it keeps changing"
    )


def _conversation(item: Item, owner: str) -> Row:
    if text(item, "ownerUserID") != owner:
        raise StrangeAnswer("conversations names another owner")
    return {
        "owner_id": owner,
        "conversation_id": text(item, "conversationID"),
        "pinned": boolean(item, "isPinned"),
        "peer_id": text(item, "userID") or None,
    }


async def friends(client: OpenIMClient, owner: str) -> list[Row]:
    """`openim.friends` of one owner."""
    ids = await whole_list(client, "/friend/get_full_friend_user_ids", "userIDs", {"userID": owner})
    return [{"owner_id": owner, "friend_id": friend} for friend in ids]


async def members(client: OpenIMClient, group_id: str) -> list[Row]:
    """All members of a group: first their ids, then the members by id, because pages of members have no stable order
    [F41]."""
    for _ in range(2):
        try:
            ids = await whole_list(client, "/group/get_full_group_member_user_ids", "userIDs", {"groupID": group_id})
        except OpenIMRefusal as refusal:
            if refusal.code in NO_SUCH_GROUP and await _is_gone(client, group_id):
                return []
            raise
        answer = await in_batches(client, ids, lambda client, part: _described(client, group_id, part))
        if not answer.unanswered:
            return answer.rows
    why = next(iter(answer.unanswered.values()))
    raise StrangeAnswer(f"{len(answer.unanswered)} of {len(ids)} members are not described ({why})")


async def _is_gone(client: OpenIMClient, group_id: str) -> bool:
    """Whether a group does not exist or is dismissed, by another route than the one that refused it."""
    answer = await groups(client, [group_id])
    return not answer.unanswered and all(row["status"] == DISMISSED for row in answer.rows)


async def _described(client: OpenIMClient, group_id: str, ids: list[str]) -> Answered:
    data = await client.call("/group/get_group_members_info", {"groupID": group_id, "userIDs": ids})
    answer, left_out = read_named(listed(data, "members"), "userID", ids, lambda item: _member(item, group_id))
    answer.unanswered |= dict.fromkeys(left_out, NOT_NAMED)
    return answer


def _member(item: Item, group_id: str) -> Row:
    if text(item, "groupID") != group_id:
        raise StrangeAnswer("members names another group")
    return {
        "group_id": group_id,
        "user_id": text(item, "userID"),
        "level": number(item, "roleLevel"),
        "in_openim_since": time_ms(item, "joinTime"),
    }


async def owners(client: OpenIMClient, group_id: str) -> list[Row]:
    """`openim.group_owners` of one group."""
    return [row for row in await members(client, group_id) if row["level"] == OWNER]


async def joined(client: OpenIMClient, member: str) -> list[Row]:
    """`openim.joined_groups` of one user."""
    ids = await whole_list(client, "/group/get_full_join_group_ids", "groupIDs", {"userID": member})
    return [{"member_id": member, "group_id": group_id} for group_id in ids]
