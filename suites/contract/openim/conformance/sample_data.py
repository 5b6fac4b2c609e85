"""The data that requests are about: three users, two groups and some messages under one prefix; and the callers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from suites.contract.openim.shared.target import Target

# The callers: an administrator, the owner of the group, a user in no group, no token, and a forged token.
ADMIN, OWNER, STRANGER, NOBODY, FORGER = "admin", "owner", "stranger", "nobody", "forger"
CALLERS: Final = (ADMIN, OWNER, STRANGER, NOBODY, FORGER)
TOKEN_PLACEHOLDER: Final = "<a valid token>"  # noqa: S105 - a placeholder
"""The placeholder of the owner's token in generated bodies, so that failures do not show the token."""
_STORED_AFTER_S: Final = 2.0  # a real server stores messages and creates their conversations later
FORGED: Final = "not.a.token"


class PreparationError(AssertionError):
    """The server refused a step of the preparation. The text says what to check."""


@dataclass(frozen=True, kw_only=True)
class SampleData:
    """The ids of the data, and the tokens of the callers."""

    prefix: str
    tokens: Mapping[str, str] = field(repr=False)
    """Caller -> token; without an entry for NOBODY."""
    secret: str = field(default="", repr=False)
    admin: str = ""
    """Secret and administrator to use in requests; "" to make no such requests."""

    def user(self, caller: str) -> str:
        """The user id of a caller; "" for the administrator and for callers without a valid token."""
        return {OWNER: self.users[0], STRANGER: self.users[2]}.get(caller, "")

    @property
    def users(self) -> list[str]:
        """The owner, a member, and a user in no group."""
        return [f"{self.prefix}{name}" for name in ("ann", "ben", "cyd")]

    @property
    def groups(self) -> list[str]:
        """An ordinary group, and one whose members need approval."""
        return [f"{self.prefix}g", f"{self.prefix}h"]

    @property
    def conversations(self) -> list[str]:
        """The conversations of owner and member and of the group, and their notification conversations."""
        ann, ben, _ = self.users
        group = self.groups[0]
        return [f"si_{ann}_{ben}", f"sg_{group}", f"n_{ann}_{ben}", f"n_{group}"]


async def prepare(target: Target, prefix: str) -> SampleData:
    """Create the data, all with ids of this prefix. Raises PreparationError."""
    __tracebackhide__ = True  # pytest would show tokens
    sample = SampleData(prefix=prefix, tokens={})
    ann, ben, cyd = sample.users
    open_group, closed_group = sample.groups
    admin = await call(target, "/auth/get_admin_token", {"secret": target.secret, "userID": target.admin}, "")
    token = str(admin["token"])
    users = [{"userID": one, "nickname": one} for one in sample.users]
    text = {"contentType": 101, "content": {"content": "hello"}, "senderPlatformID": 1}
    single = {**text, "sendID": ann, "recvID": ben, "sessionType": 1}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("/user/user_register", {"users": users}),
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
        await call(target, path, body, token)
    tokens = {ADMIN: token, FORGER: FORGED}
    for caller, user_id in ((OWNER, ann), (STRANGER, cyd)):
        issued = await call(target, "/auth/get_user_token", {"userID": user_id, "platformID": 1}, token)
        tokens[caller] = str(issued["token"])
    await target.clock.sleep(_STORED_AFTER_S)
    return SampleData(prefix=prefix, tokens=tokens)


def _group(group_id: str, owner: str, members: list[str], **more: Any) -> dict[str, Any]:
    info = {"groupID": group_id, "groupName": group_id, "groupType": 2, **more}
    return {"ownerUserID": owner, "memberUserIDs": members, "groupInfo": info}


async def call(target: Target, path: str, body: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The `data` of a call that must be accepted."""
    __tracebackhide__ = True
    headers = {"operationID": "prepare", "Content-Type": "application/json"} | ({"token": token} if token else {})
    try:
        response = await target.http.post(path, content=json.dumps(body).encode(), headers=headers)
        answer = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise PreparationError(
            f"{target.name} does not answer {path} as OpenIM does: {error!r}. Check OPENIM_API."
        ) from None
    target.clock.tick()
    if answer.get("errCode") != 0:
        refusal = f"{answer.get('errCode')} {answer.get('errMsg')}: {answer.get('errDlt')}"
        raise PreparationError(f"{target.name} refused {path} with {refusal}. Check OPENIM_SECRET and OPENIM_ADMIN.")
    data = answer.get("data")
    return data if isinstance(data, dict) else {}
