"""OpenIM's REST API, by the routes that only read.

OpenIM has no read-only credential: an admin token can always write, so the route list below is the guard. HTTP status is
200 for nearly every error (trap T21): the envelope's errCode decides. Facts: recordings of open-im-server 3.8.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from verifier.model import Row
from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import OpenIMRole
from verifier.stores.base import Denied, Privilege, RouteClosed, StoreError, StoreObject, Unreachable
from verifier.stores.budget import Budget
from verifier.stores.footprint import Ledger
from verifier.stores.http import guarded_client
from verifier.stores.openim_codes import TOKEN_CODES

MEMBERS = "openim.group_members"
DISMISSED = 2
OWNER = 100
NO_SUCH_GROUP = (1201, 1204)
"""Unknown, dismissed: in neither case is there a list of members to judge."""

READ_ROUTES = frozenset(
    f"/{route}"
    for route in """
    auth/get_admin_token auth/parse_token
    user/account_check user/get_users_info user/get_users user/get_users_online_status
    group/get_groups_info group/get_groups group/get_group_member_user_id group/get_full_group_member_user_ids
    group/get_group_abstract_info group/get_group_member_list group/get_group_members_info group/get_full_join_group_ids
    conversation/get_full_conversation_ids conversation/get_owner_conversation conversation/get_all_conversations
    friend/get_friend_id
    msg/search_msg msg/get_server_time
    config/get_config
    """.split()
)


class OpenIMRefusal(StoreError):
    """OpenIM answered with an error code."""

    def __init__(self, label: str, route: str, code: int, message: str, detail: str) -> None:
        self.code = code
        text = message.splitlines()[0] if message else ""
        super().__init__(f"{label} answered {route} with errCode {code} ({text}{': ' + detail if detail else ''}).")


class OpenIMStore:
    """OpenIM through REST, with the verifier's own admin token, taken at most once a run."""

    clock_grain_s = 0.0

    def __init__(self, role: str, config: OpenIMRole, budget: StoreBudget | None = None) -> None:
        self.role = role
        self.config = config
        self.label = f"{role} (OpenIM REST)"
        self.ledger = Ledger()
        self.limits = budget or StoreBudget()
        self.budget = Budget(self.limits, timeout_s=config.operation_timeout_s, store=self.label, ledger=self.ledger)
        self._client = guarded_client(
            config.api_url,
            lambda method, path: method == "POST" and path in READ_ROUTES,
            self.ledger,
            timeout_s=config.operation_timeout_s,
            connect_timeout_s=config.connect_timeout_s,
            ca_file=config.tls_ca_file,
        )
        self._token = config.admin_token.get_secret_value() if config.admin_token else ""
        self._token_lock = asyncio.Lock()

    async def connect(self) -> None:
        """Make sure that there is a token which OpenIM accepts as an admin's."""
        await self._ensure_token()
        await self.call("/user/account_check", {"checkUserIDs": ["openim_verifier_probe"]})

    async def close(self) -> None:
        """Close the connections. The token stays: logging it out would be a write."""
        await self._client.aclose()

    async def call(self, route: str, body: dict[str, Any]) -> Any:
        """POST to an allowed route and return `data` (None where OpenIM sends none).

        Raises OpenIMRefusal for an errCode, Denied for a token that is refused, Unreachable for the network.
        """
        await self._ensure_token()
        try:
            return await self._post(route, body)
        except OpenIMRefusal as refusal:
            if refusal.code in TOKEN_CODES:
                raise Denied(
                    f"{self.label}: the admin token is {TOKEN_CODES[refusal.code]}. Another client that asks for a token of the "
                    f"same admin id makes it die after 300 s: give the verifier an admin id of its own in roles.{self.role}."
                ) from None
            if refusal.code == 1002:
                raise Denied(f"{refusal} Its user id must be among OpenIM's admin ids.") from None
            raise

    async def _ensure_token(self) -> None:
        async with self._token_lock:
            if self._token:
                return
            secret = self.config.secret.get_secret_value() if self.config.secret else ""
            body = {"secret": secret, "userID": self.config.admin_user_id}
            try:
                data = await self._post("/auth/get_admin_token", body)
            except OpenIMRefusal as refusal:
                if refusal.code in (1001, 1002, 1004):
                    raise Denied(
                        f"{self.label} gives no admin token to {self.config.admin_user_id!r} (errCode {refusal.code}). "
                        f"Check secret and admin_user_id of roles.{self.role}."
                    ) from None
                raise
            self._token = str(data["token"])

    async def token_state(self, token: str) -> int:
        """What `parse_token` says of a user's imToken: 0 valid, else the error code. OpenIM may answer from a 300 s cache (T3)."""
        try:
            await self._post("/auth/parse_token", {"token": token})
        except OpenIMRefusal as refusal:
            return refusal.code
        return 0

    async def configuration(self, name: str) -> Any:
        """One of OpenIM's configuration files as it is in force, by its name (`share.yml`); None for one that it has not.

        Raises RouteClosed where administrators are not told (refused, or no such route). What comes back holds secrets: it
        must be reduced before it goes anywhere.
        """
        await self._ensure_token()
        try:
            data = await self._post("/config/get_config", {"configName": name})
        except OpenIMRefusal as refusal:
            if refusal.code == 1002:
                raise RouteClosed(f"{refusal} Its admin is not told the configuration.") from None
            if refusal.code == 1001:
                return None
            raise
        try:
            return json.loads(data) if isinstance(data, str) else data
        except ValueError:
            raise StoreError(f"{self.label} answered /config/get_config with what is not JSON.") from None

    async def _post(self, route: str, body: dict[str, Any]) -> Any:
        headers = {"operationID": f"verifier-{uuid.uuid4().hex}", "token": self._token}
        response = await self.budget.run(lambda: self._send(route, body, headers), kind=f"POST {route}", rows=_items)
        if response.status_code in (403, 404, 405):
            raise RouteClosed(
                f"{self.label} answered {route} with HTTP {response.status_code}: the route is closed, or api_url points "
                "elsewhere than at OpenIM's API of version 3.8."
            )
        if response.status_code != 200 or not response.content:
            raise StoreError(
                f"{self.label} answered {route} with HTTP {response.status_code}. "
                "Does api_url point at OpenIM's API, and is it one of version 3.8?"
            )
        try:
            envelope = response.json()
            code = int(envelope["errCode"])
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"{self.label} answered {route} without OpenIM's envelope. Does api_url point at OpenIM's API?"
            ) from None
        if code:
            raise OpenIMRefusal(
                self.label, route, code, str(envelope.get("errMsg", "")), str(envelope.get("errDlt", ""))
            )
        return envelope.get("data")

    async def _send(self, route: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        try:
            return await self._client.post(route, json=body, headers=headers)
        except httpx.TimeoutException:
            raise Unreachable(f"{self.label} did not answer {route} in time.") from None
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self.label} cannot be reached ({str(error) or type(error).__name__}). Is roles.{self.role}.api_url right?"
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise StoreError(f"{self.label}: {error}. Correct roles.{self.role}.api_url.") from None

    async def clock(self) -> datetime:
        """OpenIM's clock."""
        data = await self.call("/msg/get_server_time", {})
        return datetime.fromtimestamp(int(data["serverTime"]) / 1000, UTC)

    async def version(self) -> str:
        """OpenIM's REST API does not tell its version."""
        return "OpenIM (version not told by its API)"

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """OpenIM has no inventory that a check needs."""
        raise ValueError(f"{self.label} lists nothing, not even {kind}")

    async def privileges(self) -> Sequence[Privilege]:
        """An admin token can always write; what it is used for is decided by the route list."""
        return [
            Privilege(
                self.label,
                "admin token",
                "guarded",
                f"can write; the verifier can reach {len(READ_ROUTES)} reading routes only",
            )
        ]


def _items(response: httpx.Response) -> int:
    """How many records an answer holds: the longest list in its data."""
    try:
        data = response.json().get("data")
    except (ValueError, AttributeError):
        return 0
    lists = data.values() if isinstance(data, dict) else ()
    return max((len(item) for item in lists if isinstance(item, list)), default=0)


class OpenIMSource:
    """One of OpenIM's own relations, named `openim.…`. Look-ups batch by id; streams page without any order (trap T8)."""

    def __init__(self, store: OpenIMStore, relation: str) -> None:
        if relation not in _RELATIONS:
            raise ValueError(f"unknown OpenIM relation {relation!r}; there are {', '.join(sorted(_RELATIONS))}")
        self._store = store
        self.relation = relation
        self.label = f"{relation} ({store.role}: REST)"
        self.key = _RELATIONS[relation][0]

    @property
    def queries(self) -> tuple[str, ...]:
        """The routes that are called."""
        return tuple(f"POST {route}" for route in _RELATIONS[self.relation][1])

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Pages of users or groups, or the members of one group after the other. Never a basis for "missing": pages may
        overlap or skip."""
        if self.relation == MEMBERS:
            async for groups in OpenIMSource(self._store, "openim.groups").chunks():
                for group in groups:
                    if group["status"] != DISMISSED and (members := await _members(self._store, group["group_id"])):
                        yield members
            return
        route, name, read = _PAGED[self.relation]
        page = 1
        while True:
            size = self._store.config.batch_size
            data = await self._store.call(route, {"pagination": {"pageNumber": page, "showNumber": size}})
            items = data.get(name) or []
            if items:
                yield [read(item) for item in items]
            if len(items) < size:
                return
            page += 1

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records of these ids (or owners, or tokens), asked for in batches that OpenIM accepts."""
        unique = list(dict.fromkeys(str(value) for value in values))
        if self.relation in _SINGLE:
            ask_one = _SINGLE[self.relation]
            answers = await asyncio.gather(*(ask_one(self._store, value) for value in unique))
            return [row for rows in answers for row in rows]
        ask = _BATCHED[self.relation]
        size = self._store.config.batch_size
        batches = [unique[start : start + size] for start in range(0, len(unique), size)]
        answers = await asyncio.gather(*(ask(self._store, batch) for batch in batches))
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


async def _accounts(store: OpenIMStore, ids: list[str]) -> list[Row]:
    data = await store.call("/user/account_check", {"checkUserIDs": ids})
    return [{"user_id": item["userID"]} for item in data.get("results") or [] if item["accountStatus"] == 1]


async def _users(store: OpenIMStore, ids: list[str]) -> list[Row]:
    data = await store.call("/user/get_users_info", {"userIDs": ids})
    return [_user(item) for item in data.get("usersInfo") or []]


async def _groups(store: OpenIMStore, ids: list[str]) -> list[Row]:
    data = await store.call("/group/get_groups_info", {"groupIDs": ids})
    return [_group(item) for item in data.get("groupInfos") or []]


async def _tokens(store: OpenIMStore, token: str) -> list[Row]:
    return [{"token": token, "state": await store.token_state(token)}]


async def _conversation_ids(store: OpenIMStore, owner: str) -> list[Row]:
    data = await store.call("/conversation/get_full_conversation_ids", {"userID": owner, "idHash": 0})
    return [{"owner_id": owner, "conversation_id": name} for name in (data or {}).get("conversationIDs") or []]


async def _conversations(store: OpenIMStore, owner: str) -> list[Row]:
    data = await store.call("/conversation/get_all_conversations", {"ownerUserID": owner})
    return [
        {"owner_id": owner, "conversation_id": item["conversationID"], "pinned": item["isPinned"]}
        for item in (data or {}).get("conversations") or []
    ]


async def _friends(store: OpenIMStore, owner: str) -> list[Row]:
    data = await store.call("/friend/get_friend_id", {"userID": owner})
    return [{"owner_id": owner, "friend_id": friend} for friend in (data or {}).get("friendIDs") or []]


async def _members(store: OpenIMStore, group_id: str) -> list[Row]:
    """All members of a group: their ids first, then each by id, because pages of members have no stable order."""
    try:
        data = await store.call("/group/get_full_group_member_user_ids", {"groupID": group_id, "idHash": 0})
    except OpenIMRefusal as refusal:
        if refusal.code in NO_SUCH_GROUP:
            return []
        raise
    ids, size = (data or {}).get("userIDs") or [], store.config.batch_size
    rows: list[Row] = []
    for start in range(0, len(ids), size):
        body = {"groupID": group_id, "userIDs": ids[start : start + size]}
        answer = await store.call("/group/get_group_members_info", body)
        rows += [_member(item) for item in (answer or {}).get("members") or []]
    return rows


def _member(item: dict[str, Any]) -> Row:
    return {
        "group_id": item["groupID"],
        "user_id": item["userID"],
        "level": item["roleLevel"],
        "in_openim_since": datetime.fromtimestamp(int(item["joinTime"]) / 1000, UTC),
    }


async def _owners(store: OpenIMStore, group_id: str) -> list[Row]:
    return [row for row in await _members(store, group_id) if row["level"] == OWNER]


async def _joined(store: OpenIMStore, member: str) -> list[Row]:
    data = await store.call("/group/get_full_join_group_ids", {"userID": member, "idHash": 0})
    return [{"member_id": member, "group_id": group_id} for group_id in (data or {}).get("groupIDs") or []]


_MEMBER_ROUTES = ("/group/get_full_group_member_user_ids", "/group/get_group_members_info")
_BATCHED = {"openim.accounts": _accounts, "openim.users": _users, "openim.groups": _groups}
_SINGLE = {
    "openim.tokens": _tokens,
    "openim.conversation_ids": _conversation_ids,
    "openim.conversations": _conversations,
    "openim.friends": _friends,
    MEMBERS: _members,
    "openim.group_owners": _owners,
    "openim.joined_groups": _joined,
}
_PAGED = {
    "openim.users": ("/user/get_users", "users", _user),
    "openim.groups": ("/group/get_groups", "groups", lambda item: _group(item["groupInfo"])),
}
_RELATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openim.accounts": (("user_id",), ("/user/account_check",)),
    "openim.users": (("user_id",), ("/user/get_users_info", "/user/get_users")),
    "openim.groups": (("group_id",), ("/group/get_groups_info", "/group/get_groups")),
    "openim.tokens": (("token",), ("/auth/parse_token",)),
    "openim.conversation_ids": (("owner_id", "conversation_id"), ("/conversation/get_full_conversation_ids",)),
    "openim.conversations": (("owner_id", "conversation_id"), ("/conversation/get_all_conversations",)),
    "openim.friends": (("owner_id", "friend_id"), ("/friend/get_friend_id",)),
    MEMBERS: (("group_id", "user_id"), _MEMBER_ROUTES),
    "openim.group_owners": (("group_id", "user_id"), _MEMBER_ROUTES),
    "openim.joined_groups": (("member_id", "group_id"), ("/group/get_full_join_group_ids",)),
}
