"""OpenIM's REST API as built-in relations, named `openim.…`: the routes of each, and how answers become rows."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from verifier.model.invariant import Row
from verifier.stores.errors import StoreError
from verifier.stores.openim.client import OpenIMClient, OpenIMRefusal
from verifier.stores.openim.content import message_digest

MEMBERS = "openim.group_members"
DISMISSED = 2
OWNER = 100
NO_SUCH_GROUP = (1201, 1204)
"""Unknown, dismissed: such a group has no list of members [F47, F50]."""


class OpenIMSource:
    """One relation `openim.…` with the key that `verifier.stores.builtin.table` gives it."""

    def __init__(self, client: OpenIMClient, relation: str, key: tuple[str, ...]) -> None:
        self._client = client
        self.relation = relation
        self.label = f"{relation} ({client.role}: REST)"
        self.key = key

    @property
    def queries(self) -> tuple[str, ...]:
        """The routes that are requested."""
        return tuple(f"POST {route}" for route in _ROUTES[self.relation])

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Pages of users or groups, or the members of one group after the other.

        Pages have no order: they may overlap or skip records, so a record that is not in them may exist [F39].
        """
        if self.relation == MEMBERS:
            async for groups in OpenIMSource(self._client, "openim.groups", ("group_id",)).chunks():
                for group in groups:
                    if group["status"] != DISMISSED and (members := await _members(self._client, group["group_id"])):
                        yield members
            return
        route, name, read = _PAGED[self.relation]
        page = 1
        while True:
            size = self._client.config.batch_size
            data = await self._client.call(route, {"pagination": {"pageNumber": page, "showNumber": size}})
            items = data.get(name) or []
            if items:
                yield [read(item) for item in items]
            if len(items) < size:
                return
            page += 1

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records of these ids, owners or tokens, requested in batches of `batch_size`."""
        unique = list(dict.fromkeys(str(value) for value in values))
        if self.relation in _SINGLE:
            ask_one = _SINGLE[self.relation]
            answers = await asyncio.gather(*(ask_one(self._client, value) for value in unique))
            return [row for rows in answers for row in rows]
        ask = _BATCHED[self.relation]
        size = self._client.config.batch_size
        batches = [unique[start : start + size] for start in range(0, len(unique), size)]
        answers = await asyncio.gather(*(ask(self._client, batch) for batch in batches))
        return [row for rows in answers for row in rows]


def _user(item: dict[str, Any]) -> Row:
    return {
        "user_id": item["userID"],
        "nickname": item["nickname"],
        "face_url": item["faceURL"],
        "ex": item["ex"],
        "level": item["appMangerLevel"],
    }


def _group(item: dict[str, Any]) -> Row:
    return {
        "group_id": item["groupID"],
        "name": item["groupName"],
        "owner_id": item["ownerUserID"],
        "status": item["status"],
        "member_count": item["memberCount"],
        "ex": item["ex"],
    }


async def _accounts(client: OpenIMClient, ids: list[str]) -> list[Row]:
    data = await client.call("/user/account_check", {"checkUserIDs": ids})
    return [{"user_id": item["userID"]} for item in data.get("results") or [] if item["accountStatus"] == 1]


async def _users(client: OpenIMClient, ids: list[str]) -> list[Row]:
    data = await client.call("/user/get_users_info", {"userIDs": ids})
    return [_user(item) for item in data.get("usersInfo") or []]


async def _groups(client: OpenIMClient, ids: list[str]) -> list[Row]:
    data = await client.call("/group/get_groups_info", {"groupIDs": ids})
    return [_group(item) for item in data.get("groupInfos") or []]


async def _tokens(client: OpenIMClient, token: str) -> list[Row]:
    return [{"token": token, "state": await client.token_state(token)}]


async def _conversation_ids(client: OpenIMClient, owner: str) -> list[Row]:
    data = await client.call("/conversation/get_full_conversation_ids", {"userID": owner, "idHash": 0})
    return [{"owner_id": owner, "conversation_id": name} for name in (data or {}).get("conversationIDs") or []]


async def _conversations(client: OpenIMClient, owner: str) -> list[Row]:
    data = await client.call("/conversation/get_all_conversations", {"ownerUserID": owner})
    return [
        {
            "owner_id": owner,
            "conversation_id": item["conversationID"],
            "pinned": item["isPinned"],
            "peer_id": item.get("userID") or None,
        }
        for item in (data or {}).get("conversations") or []
    ]


async def _friends(client: OpenIMClient, owner: str) -> list[Row]:
    data = await client.call("/friend/get_friend_id", {"userID": owner})
    return [{"owner_id": owner, "friend_id": friend} for friend in (data or {}).get("friendIDs") or []]


async def _members(client: OpenIMClient, group_id: str) -> list[Row]:
    """All members of a group: first their ids, then the members by id, because pages of members have no stable order
    [F41]."""
    try:
        data = await client.call("/group/get_full_group_member_user_ids", {"groupID": group_id, "idHash": 0})
    except OpenIMRefusal as refusal:
        if refusal.code in NO_SUCH_GROUP:
            return []
        raise
    ids, size = (data or {}).get("userIDs") or [], client.config.batch_size
    rows: list[Row] = []
    for start in range(0, len(ids), size):
        body = {"groupID": group_id, "userIDs": ids[start : start + size]}
        answer = await client.call("/group/get_group_members_info", body)
        rows += [_member(item) for item in (answer or {}).get("members") or []]
    return rows


def _member(item: dict[str, Any]) -> Row:
    return {
        "group_id": item["groupID"],
        "user_id": item["userID"],
        "level": item["roleLevel"],
        "in_openim_since": datetime.fromtimestamp(int(item["joinTime"]) / 1000, UTC),
    }


async def _owners(client: OpenIMClient, group_id: str) -> list[Row]:
    return [row for row in await _members(client, group_id) if row["level"] == OWNER]


async def _joined(client: OpenIMClient, member: str) -> list[Row]:
    data = await client.call("/group/get_full_join_group_ids", {"userID": member, "idHash": 0})
    return [{"member_id": member, "group_id": group_id} for group_id in (data or {}).get("groupIDs") or []]


_MEMBER_ROUTES = ("/group/get_full_group_member_user_ids", "/group/get_group_members_info")


async def _canary_message(client: OpenIMClient, place: str) -> list[Row]:
    """A message by `<conversation>:<seq>`, pulled as its sender. Only for messages of canaries [F92]."""
    conversation, _, seq = place.rpartition(":")
    kind, *members = conversation.split("_")
    if kind != "si" or len(members) != 2:
        raise StoreError(
            f"{client.label}: the members of {conversation} cannot be read from its id (ids with _, or not a single chat), so that it "
            "cannot be pulled. Describe roles.openim_mongo, or give the canaries ids without _."
        )
    wanted = {"conversationID": conversation, "begin": int(seq), "end": int(seq), "num": 1}
    body = {"userID": members[0], "seqRanges": [wanted], "order": 0}
    data = await client.call("/msg/pull_msg_by_seq", body)
    found = (((data or {}).get("msgs") or {}).get(conversation) or {}).get("Msgs") or []
    return [{"place": place, **_pulled(item)} for item in found if int(item.get("seq") or 0) == int(seq)]


def _pulled(item: dict[str, Any]) -> Row:
    try:
        content = base64.b64decode(item.get("content") or "").decode("utf-8", "replace")
    except ValueError:
        content = ""
    digest, _ = message_digest(content)
    return {"digest": digest, "status": int(item.get("status") or 0), "content_type": int(item.get("contentType") or 0)}


_BATCHED = {"openim.accounts": _accounts, "openim.users": _users, "openim.groups": _groups}
_SINGLE = {
    "openim.tokens": _tokens,
    "openim.conversation_ids": _conversation_ids,
    "openim.conversations": _conversations,
    "openim.friends": _friends,
    MEMBERS: _members,
    "openim.group_owners": _owners,
    "openim.joined_groups": _joined,
    "openim.canary_messages": _canary_message,
}
_PAGED = {
    "openim.users": ("/user/get_users", "users", _user),
    "openim.groups": ("/group/get_groups", "groups", lambda item: _group(item["groupInfo"])),
}
_ROUTES: dict[str, tuple[str, ...]] = {
    "openim.accounts": ("/user/account_check",),
    "openim.users": ("/user/get_users_info", "/user/get_users"),
    "openim.groups": ("/group/get_groups_info", "/group/get_groups"),
    "openim.tokens": ("/auth/parse_token",),
    "openim.conversation_ids": ("/conversation/get_full_conversation_ids",),
    "openim.conversations": ("/conversation/get_all_conversations",),
    "openim.friends": ("/friend/get_friend_id",),
    MEMBERS: _MEMBER_ROUTES,
    "openim.group_owners": _MEMBER_ROUTES,
    "openim.joined_groups": ("/group/get_full_join_group_ids",),
    "openim.canary_messages": ("/msg/pull_msg_by_seq",),
}
