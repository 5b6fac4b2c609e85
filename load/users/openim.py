"""The part of OpenIM's REST API that a load run needs, with blocking calls (greenlets under locust).

Measured calls use locust's own client. This one registers canaries, provides the administrator's token and reads back.
It never repeats a call.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from fixtures.clients.openim_calls import ADMIN_TOKEN_MAX_AGE_S, OpenIMError

SINGLE, TEXT, WEB = 1, 101, 5
_PAGE = 100
_WORK_GROUP = 2
MEMBERS_PER_CALL = 500
"""OpenIM refuses more than 1000 ids in one list."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as a pull returns it; `text` is empty after a deletion, `ex` is the sender's extension field."""

    seq: int
    message_id: str
    text: str
    ex: str
    client_message_id: str = ""


def conversation_id(first: str, second: str) -> str:
    """OpenIM's id of the chat of two users."""
    return "si_" + "_".join(sorted((first, second)))


SEND_MSG, BATCH_SEND_MSG = "send_msg", "batch_send_msg"


def send_body(sender: str, to: str | Sequence[str], text: str, marker: str) -> dict[str, Any]:
    """The body of `send_msg`, or of `batch_send_msg` with several receivers. The marker is in `ex`, as OpenIM makes the ids."""
    return {
        "sendID": sender,
        **({"recvID": to} if isinstance(to, str) else {"recvIDs": list(to)}),
        "senderPlatformID": WEB,
        "content": {"content": text},
        "contentType": TEXT,
        "sessionType": SINGLE,
        "ex": marker,
    }


def envelope_of(status: int, content: bytes) -> tuple[int, str, Mapping[str, Any]]:
    """(errCode, error text, data) of an answer; errCode is -1 where there is no envelope."""
    try:
        envelope = json.loads(content)
        code = int(envelope["errCode"])
    except (ValueError, KeyError, TypeError):
        return -1, f"HTTP {status} without OpenIM's envelope", {}
    error = f"{code} {envelope.get('errMsg', '')}: {envelope.get('errDlt', '')}" if code else ""
    data = envelope.get("data")
    return code, error, data if isinstance(data, dict) else {}


class OpenIMApi:
    """Blocking calls as one administrator. Raises OpenIMError for a refusal and httpx.TransportError without an answer."""

    def __init__(
        self, api_url: str, *, secret: str, admin_user_id: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(base_url=api_url, timeout=20, trust_env=False, transport=transport)
        self._secret = secret
        self._admin_user_id = admin_user_id
        self._lock = threading.Lock()
        self._token = ""
        self._token_until_s = 0.0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def headers(self) -> dict[str, str]:
        """The headers of one call: a new operationID and the administrator's token, renewed in time [F28]."""
        with self._lock:
            if time.monotonic() >= self._token_until_s:
                body = {"secret": self._secret, "userID": self._admin_user_id}
                self._token = str(self._post("/auth/get_admin_token", body, {})["token"])
                self._token_until_s = time.monotonic() + ADMIN_TOKEN_MAX_AGE_S
            return {"operationID": uuid.uuid4().hex, "token": self._token}

    def ensure_registered(self, user_ids: Sequence[str]) -> None:
        """Register those of these users that OpenIM does not know. Other workers may do the same at the same time.

        What a registration answers does not matter: of two callers that register one user at once, a real server answers one
        with error 500, and a call that timed out may have registered. OpenIM is asked again, and what is missing is registered
        one by one. Raises the last error if a user cannot be registered.
        """
        for first in range(0, len(user_ids), MEMBERS_PER_CALL):
            missing = self._unregistered(user_ids[first : first + MEMBERS_PER_CALL])
            if not missing or self._register(missing) is None:
                continue
            for user_id in self._unregistered(missing):
                error = self._register([user_id])
                if error is not None and self._unregistered([user_id]):
                    raise error

    def _unregistered(self, user_ids: Sequence[str]) -> list[str]:
        """Those of these users that OpenIM does not know, or does not answer for."""
        rows = self._call("/user/account_check", {"checkUserIDs": list(user_ids)})["results"] or []
        known = {str(row["userID"]) for row in rows if str(row["accountStatus"]) in ("1", "registered")}
        return [user_id for user_id in user_ids if user_id not in known]

    def _register(self, user_ids: Sequence[str]) -> OpenIMError | httpx.HTTPError | None:
        """Register these users, all or none; returns why it failed, if it did."""
        try:
            self._call("/user/user_register", {"users": [{"userID": one, "nickname": one} for one in user_ids]})
        except (OpenIMError, httpx.HTTPError) as error:
            return error
        return None

    def create_group(self, group_id: str, owner: str, members: Sequence[str]) -> None:
        """Create a group. Members are added without an invitation, in batches that OpenIM accepts."""
        rest = [member for member in members if member != owner]
        info = {"groupID": group_id, "groupName": group_id, "groupType": _WORK_GROUP}
        self._call(
            "/group/create_group",
            {"ownerUserID": owner, "memberUserIDs": rest[:MEMBERS_PER_CALL], "groupInfo": info},
        )
        for first in range(MEMBERS_PER_CALL, len(rest), MEMBERS_PER_CALL):
            invited = rest[first : first + MEMBERS_PER_CALL]
            self._call(
                "/group/invite_user_to_group", {"groupID": group_id, "invitedUserIDs": invited, "reason": "load"}
            )

    def user_token(self, user_id: str, platform_id: int) -> str:
        """A new token of a canary. Under OpenIM's default policy it ends the older token of that platform [F24]."""
        return str(self._call("/auth/get_user_token", {"userID": user_id, "platformID": platform_id})["token"])

    def max_seq(self, user_id: str, conversation: str) -> int:
        """The newest seq of a conversation; 0 before its first message."""
        return self.max_seqs(user_id, [conversation])[conversation]

    def max_seqs(self, user_id: str, conversations: Sequence[str]) -> dict[str, int]:
        """The newest seqs of conversations."""
        return self._positions(user_id, conversations, "maxSeq")

    def read_seq(self, user_id: str, conversation: str) -> int:
        """The seq up to which this user has read the conversation; 0 before the first mark."""
        return self._positions(user_id, [conversation], "hasReadSeq")[conversation]

    def _positions(self, user_id: str, conversations: Sequence[str], name: str) -> dict[str, int]:
        data = self._call(
            "/msg/get_conversations_has_read_and_max_seq", {"userID": user_id, "conversationIDs": list(conversations)}
        )
        seqs = data.get("seqs") or {}
        return {one: int((seqs.get(one) or {}).get(name) or 0) for one in conversations}

    def pull(self, user_id: str, conversation: str, *, begin: int, end: int) -> Iterator[Stored]:
        """The messages with begin <= seq <= end as this user sees them, page by page."""
        for first in range(begin, end + 1, _PAGE):
            last = min(first + _PAGE - 1, end)
            wanted = {"conversationID": conversation, "begin": first, "end": last, "num": last - first + 1}
            data = self._call("/msg/pull_msg_by_seq", {"userID": user_id, "seqRanges": [wanted], "order": 0})
            found = (data.get("msgs") or {}).get(conversation) or {}
            for row in found.get("Msgs") or []:
                name = str(row.get("clientMsgID") or "")
                yield Stored(int(row["seq"]), str(row["serverMsgID"]), _text(row), str(row.get("ex") or ""), name)

    def _call(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._post(route, body, self.headers())

    def _post(self, route: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Mapping[str, Any]:
        answer = self._http.post(route, json=dict(body), headers={"operationID": uuid.uuid4().hex, **headers})
        code, error, data = envelope_of(answer.status_code, answer.content)
        if code:
            raise OpenIMError(code, error, "", route=route)
        return data


def _text(row: Mapping[str, Any]) -> str:
    """The text of a message; `content` is base64 of its JSON text in pulls."""
    try:
        content = json.loads(base64.b64decode(row.get("content") or ""))
        return str(content["content"])
    except (ValueError, KeyError, TypeError):
        return ""
