"""Look-ups by id in OpenIM's REST API: for each relation, the routes and what their answers prove.

A partner's silence is not absence (R11). An answer counts for the ids that it names. Where OpenIM leaves out what does not exist, a
second route must say so; where it sends a whole list, the list must have the hash that OpenIM has of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from verifier.model.invariant import Row
from verifier.stores.errors import TooLarge
from verifier.stores.openim.answers import (
    Answered,
    Item,
    StrangeAnswer,
    listed,
    mapping,
    named,
    number,
    text,
)
from verifier.stores.openim.client import OpenIMClient, OpenIMRefusal
from verifier.stores.openim.codes import TOKEN_CODES
from verifier.stores.redis.values import token_part

T = TypeVar("T")
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
    answer, left_out = read_named(listed(data, "usersInfo"), "userID", ids, user_row)
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
    answer, left_out = read_named(listed(data, "groupInfos"), "groupID", ids, group_row)
    reasons = await all_of(_why_left_out(client, name) for name in left_out)
    answer.unanswered |= {name: why for name, why in zip(left_out, reasons, strict=True) if why}
    return answer


async def _why_left_out(client: OpenIMClient, group_id: str) -> str:
    """Why nothing is known of a group that an answer left out; "" where it does not exist."""
    try:
        data = await client.call("/group/get_group_abstract_info", {"groupIDs": [group_id]})
        found = named(listed(data, "groupAbstractInfos"), "groupID", [group_id])
    except OpenIMRefusal as refusal:
        # The refusal counts if it names the group: one from a cache would be about another group.
        is_about_it = refusal.code == UNKNOWN_GROUP and group_id in refusal.detail
        return "" if is_about_it else f"errCode {refusal.code}"
    except StrangeAnswer as error:
        return str(error)
    return CONTRADICTED if found.items else NOT_NAMED


def read_named(
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
    """`openim.tokens`: the state of a token, 0 for valid, otherwise the error code. Only the codes for tokens are a state [F23].

    A valid token is answered with its own user. A refusal names nobody, so it counts only if the verifier's own token, which is
    valid, is answered with its own user at the same time.
    """
    try:
        _require_owner(await client.parse_token(token), token)
    except OpenIMRefusal as refusal:
        if refusal.code not in TOKEN_CODES:
            raise
        try:
            _require_owner(await client.parse_token(client.own_token), client.own_token)
        except (OpenIMRefusal, StrangeAnswer):
            raise StrangeAnswer(
                "parse_token refuses the verifier's own token too, or confuses it with another"
            ) from None
        return [{"token": token, "state": refusal.code}]
    return [{"token": token, "state": 0}]


def _require_owner(data: Any, token: str) -> None:
    if text(mapping(data), "userID") != token_part(token, "claim").get("UserID"):
        raise StrangeAnswer("the answer names another user than the token")
