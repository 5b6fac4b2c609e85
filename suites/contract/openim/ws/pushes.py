"""Comparing pushes: those of one conversation in the order of their seqs, those without a seq in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fixtures.clients.raw_websocket import Frame
from suites.contract.openim.shared.comparison import shown
from suites.contract.openim.ws import frames
from suites.contract.openim.ws.comparison import WsComparison
from suites.contract.openim.ws.nondeterminism import loss_differences, with_recorded_seqs
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.recording import Line
from suites.contract.openim.ws.session_settings import SessionSettings

Decoded = dict[str, Any]


class _Key(NamedTuple):
    """What a push is recognised by."""

    branch: str
    conversation: str
    content_type: int
    seq: int

    def __str__(self) -> str:
        return f"{self.content_type} in {self.conversation} seq {self.seq}" if self.branch else "of nothing"


class PushJudge:
    """Compares the pushes of one session."""

    def __init__(self, result: SessionResult, settings: SessionSettings, comparison: WsComparison) -> None:
        self._session, self._settings, self._comparison = result.session, settings, comparison
        self._bindings = result.bindings
        self._agreed: dict[str, int] = {}

    def judge(self, conn: str, recorded: list[Line], actual: list[Frame]) -> Iterator[tuple[str, list[str]]]:
        """(case, differences) of each recorded push to one connection, and of each that was not recorded."""
        encoding = self._session.encodings[conn]
        pushes = [frames.decode_answer(encoding, frame.payload) for frame in actual]
        yield from _order([_key(push) for push in pushes], pushes)
        if self._settings.lossy:
            if recorded or pushes:
                yield "pushes", list(loss_differences(self._session, recorded, pushes))
            return
        if self._settings.interleaved:
            decoded = [line.decoded_frame for line in recorded]
            pushes, wrong = with_recorded_seqs(self._bindings, self._agreed, decoded, pushes)
            yield from (("pushes", [one]) for one in wrong)
        keys = [_key(push) for push in pushes]
        left = list(range(len(pushes)))
        for line in recorded:
            key = self._filled(_key(line.decoded_frame))
            case = f"push {key} (line {line.number})"
            at = next((index for index in left if keys[index] == key), None)
            if at is None:
                yield case, ["is missing"]
                continue
            left.remove(at)
            oddity = [f"odd frame: {actual[at].oddity}"] if actual[at].oddity else []
            yield case, oddity + list(self._differences(line.decoded_frame, pushes[at]))
        for index in left:
            if not self._is_optional(conn, pushes[index]):
                yield f"push {keys[index]}", [f"was not recorded: {shown(pushes[index])}"]

    def _filled(self, key: _Key) -> _Key:
        return key._replace(conversation=self._bindings.fill_text(key.conversation))

    def _differences(self, recorded: Decoded, actual: Decoded) -> Iterator[str]:
        """A push that a request on the socket caused has its operationID; one that REST caused may have any [F118]."""
        if not str(recorded.get("operationID", "")).startswith("op-"):
            recorded = {**recorded, "operationID": ""}
            actual = {**actual, "operationID": ""} if "operationID" in actual else actual
        yield from self._comparison.differences(recorded, actual)

    def _is_optional(self, conn: str, push: Decoded) -> bool:
        messages = frames.messages_in(push)
        return bool(messages) and all(
            any(
                one.covers(conn, one.conversation, message)
                for one in self._settings.optional_pushes
                if self._bindings.fill(one.conversation) == conversation
            )
            for _, conversation, message in messages
        )


def _order(keys: list[_Key], pushes: list[Decoded]) -> Iterator[tuple[str, list[str]]]:
    """Seqs ascend in each conversation, and a notification that shows in the chat is pushed there first [F121]."""
    highest: dict[tuple[str, str], int] = {}
    in_chat: dict[str, int] = {}
    for index, (key, push) in enumerate(zip(keys, pushes, strict=True)):
        if key.seq:
            before = highest.get(key[:2], 0)
            if key.seq <= before:
                yield f"push {key}", [f"came after seq {before} of its conversation"]
            highest[key[:2]] = max(before, key.seq)
        for branch, _, message in frames.messages_in(push):
            if branch == "msgs":
                in_chat[message.get("clientMsgID", "")] = index
    for index, push in enumerate(pushes):
        for branch, conversation, message in frames.messages_in(push):
            chat_index = in_chat.get(message.get("clientMsgID", ""))
            if branch == "notificationMsgs" and chat_index is not None and chat_index > index:
                yield f"push of {conversation}", ["came before the message of the same notification in the chat"]


def _key(push: Decoded) -> _Key:
    messages = frames.messages_in(push)
    if not messages:
        return _Key("", "", 0, 0)
    branch, conversation, message = messages[0]
    return _Key(branch, conversation, _number(message.get("contentType")), _number(message.get("seq")))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
