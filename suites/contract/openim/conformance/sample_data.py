"""Something to ask about: three users, two groups, some messages, all under one prefix; and who asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from suites.contract.openim.shared.target import Target

# Who asks: an administrator, the owner of the group, a user who belongs to nothing, nobody, and a made-up token.
ADMIN, OWNER, STRANGER, NOBODY, FORGER = "admin", "owner", "stranger", "nobody", "forger"
CALLERS: Final = (ADMIN, OWNER, STRANGER, NOBODY, FORGER)
PLACE_OF_TOKEN: Final = "<a valid one>"  # noqa: S105 - it is none
"""Stands in a generated body for the owner's token, which no failure is to show."""
_STORED_AFTER_S: Final = 2.0  # a real server queues messages, and makes their conversations then
FORGED: Final = "not.a.token"


class NotPrepared(AssertionError):
    """The server refused a step of the preparation."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What stands on the server, and the tokens to ask with."""

    prefix: str
    tokens: Mapping[str, str] = field(repr=False)
    """Caller -> token; nobody has none."""
    secret: str = field(default="", repr=False)
    admin: str = ""
    """Secret and administrator to try; "" where no such request is to be made."""

    def user(self, caller: str) -> str:
        """The id behind a caller's token; "" for an administrator and for those without a token."""
        return {OWNER: self.users[0], STRANGER: self.users[2]}.get(caller, "")

    @property
    def users(self) -> list[str]:
        """The owner, a member, a stranger."""
        return [f"{self.prefix}{name}" for name in ("ann", "ben", "cyd")]

    @property
    def groups(self) -> list[str]:
        """An ordinary group, and one where all need approval."""
        return [f"{self.prefix}g", f"{self.prefix}h"]

    @property
    def conversations(self) -> list[str]:
        """The chat of owner and member, the group's chat, and their notification twins."""
        ann, ben, _ = self.users
        group = self.groups[0]
        return [f"si_{ann}_{ben}", f"sg_{group}", f"n_{ann}_{ben}", f"n_{group}"]


async def prepare(target: Target, prefix: str) -> World:
    """Make the world. It writes ids of this prefix and nothing else. Raises NotPrepared."""
    __tracebackhide__ = True  # pytest would print tokens
    world = World(prefix=prefix, tokens={})
    ann, ben, cyd = world.users
    open_group, closed_group = world.groups
    admin = await ask(target, "/auth/get_admin_token", {"secret": target.secret, "userID": target.admin}, "")
    token = str(admin["token"])
    people = [{"userID": one, "nickname": one} for one in world.users]
    text = {"contentType": 101, "content": {"content": "hello"}, "senderPlatformID": 1}
    single = {**text, "sendID": ann, "recvID": ben, "sessionType": 1}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("/user/user_register", {"users": people}),
        ("/friend/import_friend", {"ownerUserID": ann, "friendUserIDs": [ben]}),
        ("/friend/add_friend", {"fromUserID": cyd, "toUserID": ann, "reqMsg": "hello"}),
        ("/friend/add_black", {"ownerUserID": ben, "blackUserID": cyd}),
        ("/group/create_group", _group(open_group, ann, [ben])),
        ("/group/create_group", _group(closed_group, ann, [ben], needVerification=1)),
        ("/group/join_group", {"groupID": closed_group, "reqMessage": "me", "joinSource": 3, "inviterUserID": cyd}),
        ("/msg/send_msg", single),
        ("/msg/send_msg", {**single, "sendID": ben, "recvID": ann}),
        ("/msg/send_msg", {**text, "sendID": ann, "groupID": open_group, "sessionType": 3}),
        ("/user/set_user_client_config", {"userID": ann, "configs": {"k": "v"}}),
        ("/user/process_user_command_add", {"userID": ann, "type": 1, "uuid": "u", "value": "v"}),
    ]
    for path, body in steps:
        await ask(target, path, body, token)
    tokens = {ADMIN: token, FORGER: FORGED}
    for caller, user_id in ((OWNER, ann), (STRANGER, cyd)):
        issued = await ask(target, "/auth/get_user_token", {"userID": user_id, "platformID": 1}, token)
        tokens[caller] = str(issued["token"])
    await target.clock.sleep(_STORED_AFTER_S)
    return World(prefix=prefix, tokens=tokens)


def _group(group_id: str, owner: str, members: list[str], **more: Any) -> dict[str, Any]:
    info = {"groupID": group_id, "groupName": group_id, "groupType": 2, **more}
    return {"ownerUserID": owner, "memberUserIDs": members, "groupInfo": info}


async def ask(target: Target, path: str, body: Mapping[str, Any], token: str) -> dict[str, Any]:
    """One call that must be accepted; its `data`."""
    __tracebackhide__ = True
    headers = {"operationID": "prepare", "Content-Type": "application/json"} | ({"token": token} if token else {})
    try:
        response = await target.http.post(path, content=json.dumps(body).encode(), headers=headers)
        answer = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise NotPrepared(
            f"{target.name} does not answer {path} as OpenIM does: {error!r}. Check OPENIM_API."
        ) from None
    target.clock.tick()
    if answer.get("errCode") != 0:
        said = f"{answer.get('errCode')} {answer.get('errMsg')}: {answer.get('errDlt')}"
        raise NotPrepared(f"{target.name} refused {path} with {said}. Check OPENIM_SECRET and OPENIM_ADMIN.")
    data = answer.get("data")
    return data if isinstance(data, dict) else {}
