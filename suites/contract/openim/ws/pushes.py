"""Comparing pushes: of one conversation in the order of their seqs, those without one as a set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from suites.contract.openim.ws import frames
from suites.contract.openim.ws.client import Frame
from suites.contract.openim.ws.interleaved import in_recorded_terms
from suites.contract.openim.ws.lossy import surviving
from suites.contract.openim.ws.notes import Notes
from suites.contract.openim.ws.perform import Performed
from suites.contract.openim.ws.recording import Line
from suites.contract.openim.ws.unify import Unifier, shown

Key = tuple[str, str, int, int]
"""Branch, conversation, content type and seq: what a push is recognised by."""


class Pushes:
    """The pushes of one session."""

    def __init__(self, performed: Performed, notes: Notes, unifier: Unifier) -> None:
        self._performed, self._notes, self._unifier = performed, notes, unifier
        self._symbols = performed.symbols
        self._agreed: dict[str, int] = {}

    def judge(self, conn: str, recorded: list[Line], actual: list[Frame]) -> Iterator[tuple[str, list[str]]]:
        """(case, differences) of each recorded push to one connection, and of each that was not recorded."""
        encoding = self._performed.session.encodings[conn]
        came = [frames.decode_answer(encoding, frame.payload) for frame in actual]
        yield from self._order([_key(found) for found in came], came)
        if self._notes.lossy:
            if recorded or came:
                yield "pushes", list(surviving(self._performed.session, recorded, came))
            return
        if self._notes.interleaved:
            came, odd = in_recorded_terms(self._symbols, self._agreed, [line.shown for line in recorded], came)
            yield from (("pushes", [one]) for one in odd)
        keys = [_key(found) for found in came]
        left = list(range(len(came)))
        for line in recorded:
            key = self._filled(_key(line.shown))
            case = f"push {_told(key)} (line {line.number})"
            at = next((index for index in left if keys[index] == key), None)
            if at is None:
                yield case, ["is missing"]
                continue
            left.remove(at)
            oddity = [actual[at].oddity] if actual[at].oddity else []
            yield case, oddity + list(self._differences(line.shown, came[at]))
        for index in left:
            if not self._may_come(conn, came[index]):
                yield f"push {_told(keys[index])}", [f"was not recorded: {shown(came[index])}"]

    def _filled(self, key: Key) -> Key:
        return key[0], str(self._symbols.fill(key[1])), key[2], key[3]

    def _differences(self, recorded: dict[str, Any], actual: dict[str, Any]) -> Iterator[str]:
        """A push caused by a socket request bears its operationID; one that REST caused may bear any."""
        if not str(recorded.get("operationID", "")).startswith("op-"):
            recorded = {**recorded, "operationID": ""}
            actual = {**actual, "operationID": ""} if "operationID" in actual else actual
        yield from self._unifier.differences("$", recorded, actual)

    def _may_come(self, conn: str, found: dict[str, Any]) -> bool:
        messages = frames.messages_in(found)
        return bool(messages) and all(
            any(
                one.covers(conn, conversation, message)
                for one in self._notes.may_come
                for conversation in [actual]
                if self._symbols.fill(one.conversation) == actual
                for conversation in [one.conversation]
            )
            for _, actual, message in messages
        )

    def _order(self, keys: list[Key], came: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
        """Seqs ascend in each conversation, and a notice is shown in the chat before it is told as one."""
        highest: dict[tuple[str, str], int] = {}
        chat: dict[str, int] = {}
        for index, (key, found) in enumerate(zip(keys, came, strict=True)):
            if key[3]:
                before = highest.get(key[:2], 0)
                if key[3] <= before:
                    yield f"push {_told(key)}", [f"came after seq {before} of its conversation"]
                highest[key[:2]] = max(before, key[3])
            for branch, _, message in frames.messages_in(found):
                if branch == "msgs":
                    chat[message.get("clientMsgID", "")] = index
        for index, found in enumerate(came):
            for branch, conversation, message in frames.messages_in(found):
                shown_at = chat.get(message.get("clientMsgID", ""))
                if branch == "notificationMsgs" and shown_at is not None and shown_at > index:
                    yield f"push of {conversation}", ["came before the same notice's message in the chat"]


def _key(found: dict[str, Any]) -> Key:
    messages = frames.messages_in(found)
    if not messages:
        return "", "", 0, 0
    branch, conversation, message = messages[0]
    return branch, conversation, _number(message.get("contentType")), _number(message.get("seq"))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _told(key: Key) -> str:
    branch, conversation, content_type, seq = key
    return f"{content_type} in {conversation} seq {seq}" if branch else "of nothing"
