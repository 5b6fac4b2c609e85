"""Look-ups by id in OpenIM's REST API: for each relation, the routes and what their answers prove.

A partner's silence is not absence (R11). An answer counts for the ids that it names. Where OpenIM leaves out what does not exist, a
second route must say so; where it sends a whole list, the list must have the hash that OpenIM has of it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from verifier.model.invariant import Row
from verifier.stores.errors import StoreError, TooLarge
from verifier.stores.openim.answers import (
    Answered,
    Item,
    StrangeAnswer,
    boolean,
    listed,
    mapping,
    named,
    number,
    text,
    texts,
    time_ms,
)
from verifier.stores.openim.client import OpenIMClient, OpenIMRefusal
from verifier.stores.openim.codes import TOKEN_CODES
from verifier.stores.openim.content import message_digest
from verifier.stores.redis.values import token_part

T = TypeVar("T")
OWNER = 100
NO_SUCH_GROUP = (1201, 1204)
"""Unknown, dismissed: such a group has no list of members [F47, F50]."""
UNKNOWN_GROUP = 1201
NOT_NAMED = "the answer does not name them"
CONTRADICTED = "another route of OpenIM says that they exist"
Batched = Callable[[OpenIMClient, list[str]], Awaitable[Answered]]
Single = Callable[[OpenIMClient, str], Awaitable[list[Row]]]


async def in_batches(client: OpenIMClient, ids: Sequence[str], ask: Batched) -> Answered:
    """Ask for ids in batches of `client.batch_size`, in smaller ones where a proxy limits the size of a request or answer."""
    size = client.batch_size
    batches = [list(ids[start : start + size]) for start in range(0, len(ids), size)]
    total = Answered()
    for found in await all_of(_divided(client, batch, ask) for batch in batches):
        total.add(found)
    return total


async def _divided(client: OpenIMClient, ids: list[str], ask: Batched) -> Answered:
    try:
        return await ask(client, ids)
    except TooLarge:
        if len(ids) == 1:
            raise
        half = (len(ids) + 1) // 2
        client.batch_size = min(client.batch_size, half)
        found = await _divided(client, ids[:half], ask)
        found.add(await _divided(client, ids[half:], ask))
        return found
    except StrangeAnswer as error:
        return Answered(unanswered=dict.fromkeys(ids, str(error)))


async def one_by_one(client: OpenIMClient, ids: Sequence[str], ask: Single) -> Answered:
    """Ask for each id with a request of its own. A refusal, or an answer of another form, leaves that id without an answer."""

    async def one(value: str) -> Answered:
        try:
            return Answered(rows=await ask(client, value))
        except StrangeAnswer as error:
            return Answered(unanswered={value: str(error)})
        except OpenIMRefusal as refusal:
            return Answered(unanswered={value: f"errCode {refusal.code}"})

    total = Answered()
    for found in await all_of(one(value) for value in ids):
        total.add(found)
    return total


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, at once. When one fails, the others are cancelled, so that nothing more is sent."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# ---- ids that an answer names ----


async def _registered(client: OpenIMClient, ids: list[str]) -> tuple[dict[str, bool], dict[str, str]]:
    """Which of the ids are registered, and for those without an answer the reason. The route answers for each id [F38]."""
    data = await client.call("/user/account_check", {"checkUserIDs": ids})
    found = named(listed(data, "results"), "userID", ids)
    states: dict[str, bool] = {}
    unanswered = dict.fromkeys(found.missing(ids), NOT_NAMED) | dict.fromkeys(found.doubtful, "it is answered twice")
    for name, item in found.items.items():
        status = item.get("accountStatus")
        if type(status) is int and status in (0, 1):
            states[name] = status == 1
        else:
            unanswered[name] = "accountStatus is neither 0 nor 1"
    return states, unanswered


async def accounts(client: OpenIMClient, ids: list[str]) -> Answered:
    """`openim.accounts`: the ids that are registered."""
    states, unanswered = await _registered(client, ids)
    return Answered([{"user_id": name} for name, is_registered in states.items() if is_registered], unanswered)


async def users(client: OpenIMClient, ids: list[str]) -> Answered:
    """`openim.users`: the profiles. The route leaves out unknown ids [F41], so `account_check` has to confirm each of them."""
    data = await client.call("/user/get_users_info", {"userIDs": ids})
    answer, left_out = _read(listed(data, "usersInfo"), "userID", ids, user_row)
    if left_out:
        states, silent = await _registered(client, left_out)
        answer.unanswered |= silent
        # Also a user who was registered within the last minute, whom a cache does not know yet [F44].
        answer.unanswered |= {name: CONTRADICTED for name, is_registered in states.items() if is_registered}
    return answer


async def groups(client: OpenIMClient, ids: list[str]) -> Answered:
    """`openim.groups`: the groups. The route leaves out unknown ones [F47]; asked for one of them, `get_group_abstract_info`
    refuses with 1201 [F48]."""
    data = await client.call("/group/get_groups_info", {"groupIDs": ids})
    answer, left_out = _read(listed(data, "groupInfos"), "groupID", ids, group_row)
    reasons = await all_of(_why_left_out(client, name) for name in left_out)
    answer.unanswered |= {name: why for name, why in zip(left_out, reasons, strict=True) if why}
    return answer


async def _why_left_out(client: OpenIMClient, group_id: str) -> str:
    """Why nothing is known of a group that an answer left out; "" where it does not exist."""
    try:
        data = await client.call("/group/get_group_abstract_info", {"groupIDs": [group_id]})
        found = named(listed(data, "groupAbstractInfos"), "groupID", [group_id])
    except OpenIMRefusal as refusal:
        return "" if refusal.code == UNKNOWN_GROUP else f"errCode {refusal.code}"
    except StrangeAnswer as error:
        return str(error)
    return CONTRADICTED if found.items else NOT_NAMED


def _read(
    items: Iterable[Any], key: str, ids: Sequence[str], read: Callable[[Item], Row]
) -> tuple[Answered, list[str]]:
    """The rows of the ids that items name, and the ids that none names."""
    found = named(items, key, ids)
    answer = Answered(unanswered=dict.fromkeys(found.doubtful, "they are answered twice, differently"))
    for name, item in found.items.items():
        try:
            answer.rows.append(read(item))
        except StrangeAnswer as error:
            answer.unanswered[name] = str(error)
    return answer, found.missing(ids)


def user_row(item: Item) -> Row:
    """A user as OpenIM's API describes it."""
    return {
        "user_id": text(item, "userID"),
        "nickname": text(item, "nickname"),
        "face_url": text(item, "faceURL"),
        "ex": text(item, "ex"),
        "level": number(item, "appMangerLevel"),
    }


def group_row(item: Item) -> Row:
    """A group as OpenIM's API describes it."""
    return {
        "group_id": text(item, "groupID"),
        "name": text(item, "groupName"),
        "owner_id": text(item, "ownerUserID"),
        "status": number(item, "status"),
        "member_count": number(item, "memberCount"),
        "ex": text(item, "ex"),
    }


async def tokens(client: OpenIMClient, token: str) -> list[Row]:
    """`openim.tokens`: the state of a token, 0 for valid, otherwise the error code. Only the codes for tokens are a state [F23],
    and a valid token is answered with its own user."""
    try:
        data = mapping(await client.token_owner(token))
    except OpenIMRefusal as refusal:
        if refusal.code not in TOKEN_CODES:
            raise
        return [{"token": token, "state": refusal.code}]
    claimed = token_part(token, "claim").get("UserID")
    if text(data, "userID") != claimed:
        raise StrangeAnswer("the answer names another user than the token")
    return [{"token": token, "state": 0}]


# ---- whole lists of one owner ----


def hash_of(ids: Sequence[str]) -> int:
    """OpenIM's hash of a list of ids, as its clients send it in `idHash` [F57]; 0 for an empty list.

    Source: `pkg/util/hashutil/id.go`: the first 8 bytes of the MD5 of the list as Go writes JSON.
    """
    if not ids:
        return 0
    written = json.dumps(list(ids), ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        written = written.replace(char, f"\\u{ord(char):04x}")
    return int.from_bytes(hashlib.md5(written.encode("utf-8", "replace"), usedforsecurity=False).digest()[:8])


async def whole_list(client: OpenIMClient, route: str, name: str, body: dict[str, str]) -> list[str]:
    """A list that OpenIM sends without paging. It is whole if OpenIM, asked again with the list's hash, calls it equal.

    Raises StrangeAnswer where that fails twice: the list was cut on the way, or it keeps changing.
    """
    for _ in range(2):
        data = await client.call(route, {**body, "idHash": 0})
        ids = texts(data, name)
        if boolean(mapping(data), "equal"):
            if ids:
                raise StrangeAnswer(f"{name} is sent although it is called equal to an empty list")
            return []  # the hash of OpenIM's own list is that of an empty one
        if ids:
            again = await client.call(route, {**body, "idHash": hash_of(ids)})
            if boolean(mapping(again), "equal"):
                return ids
    raise StrangeAnswer(
        f"{name} has not the hash that OpenIM has of it (idHash): the list was cut, or it keeps changing"
    )


async def conversation_ids(client: OpenIMClient, owner: str) -> list[Row]:
    """`openim.conversation_ids` of one owner."""
    return [{"owner_id": owner, "conversation_id": name} for name in await _conversation_names(client, owner)]


async def _conversation_names(client: OpenIMClient, owner: str) -> list[str]:
    return await whole_list(client, "/conversation/get_full_conversation_ids", "conversationIDs", {"userID": owner})


async def conversations(client: OpenIMClient, owner: str) -> list[Row]:
    """`openim.conversations` of one owner. The list has no hash, so it must have the ids of the list that has one."""
    for _ in range(2):
        data = await client.call("/conversation/get_all_conversations", {"ownerUserID": owner})
        rows = [_conversation(item, owner) for item in map(mapping, listed(data, "conversations"))]
        ids = await _conversation_names(client, owner)
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
            if refusal.code in NO_SUCH_GROUP:
                return []
            raise
        answer = await in_batches(client, ids, lambda client, part: _described(client, group_id, part))
        if not answer.unanswered:
            return answer.rows
    why = next(iter(answer.unanswered.values()))
    raise StrangeAnswer(f"{len(answer.unanswered)} of {len(ids)} members are not described ({why})")


async def _described(client: OpenIMClient, group_id: str, ids: list[str]) -> Answered:
    data = await client.call("/group/get_group_members_info", {"groupID": group_id, "userIDs": ids})
    answer, left_out = _read(listed(data, "members"), "userID", ids, lambda item: _member(item, group_id))
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


# ---- messages of canaries ----


async def canary_message(client: OpenIMClient, place: str) -> list[Row]:
    """A message by `<conversation>:<seq>`, pulled as its sender. Only for messages of canaries [F92].

    An empty pull proves nothing by itself: OpenIM answers so beyond the end of a conversation, and for one that the user
    does not have [F83]. The message is gone where the conversation ends before it, or is not in the list of its sender.
    """
    conversation, _, seq = place.rpartition(":")
    kind, *pair = conversation.split("_")
    if kind != "si" or len(pair) != 2:
        raise StoreError(
            f"{client.label}: the members of {conversation} cannot be read from its id (ids with _, or not a single chat), so that it "
            "cannot be pulled. Describe roles.openim_mongo, or give the canaries ids without _."
        )
    wanted = {"conversationID": conversation, "begin": int(seq), "end": int(seq), "num": 1}
    body = {"userID": pair[0], "seqRanges": [wanted], "order": 0}
    found = mapping(mapping(await client.call("/msg/pull_msg_by_seq", body)).get("msgs"))
    for item in map(mapping, listed(found.get(conversation), "Msgs")):
        if number(item, "seq") == int(seq):
            return [{"place": place, **_pulled(item)}]
    asked = {"userID": pair[0], "conversationIDs": [conversation]}
    data = await client.call("/msg/get_conversations_has_read_and_max_seq", asked)
    end = mapping(mapping(data).get("seqs")).get(conversation)
    if end is None and conversation not in await _conversation_names(client, pair[0]):
        return []
    if number(mapping(end), "maxSeq") < int(seq):
        return []
    raise StrangeAnswer("a pull does not return the seq, although the conversation reaches beyond it")


def _pulled(item: Item) -> Row:
    content = item.get("content")
    try:
        decoded = base64.b64decode(content if isinstance(content, str) else "").decode("utf-8", "replace")
    except ValueError:
        decoded = ""
    digest, _ = message_digest(decoded)
    kinds = (item.get("status"), item.get("contentType"))
    status, content_type = (kind if type(kind) is int else 0 for kind in kinds)
    return {"digest": digest, "status": status, "content_type": content_type}
