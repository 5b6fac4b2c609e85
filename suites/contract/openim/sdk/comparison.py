"""Comparing the answers to SDK calls with the recorded ones.

Ids, tokens and times that the server makes differ from run to run. They are bound where they are first seen: a recorded
value has one value in the answers, two ids have two values, and each value has the form of the recorded one. All other
values must be the recorded ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from suites.contract.openim.shared.bindings import Bindings
from suites.contract.openim.shared.comparison import Comparison, shown

MADE_IDS = frozenset({"versionID", "connID", "token", "clientMsgID", "serverMsgID", "groupID"})
MADE_TIMES = frozenset(
    {"createTime", "joinTime", "sendTime", "revokeTime", "sourceMessageSendTime", "notificationUpdateTime"}
)
# OpenIM sorts these by role and time, or returns them from a cache: their order is not promised.
UNORDERED = frozenset({"usersInfo", "members", "groups", "groupInfos", "insert", "update", "delete"})
UNORDERED_IDS = frozenset({"conversationIDs", "groupIDs", "userIDs"})
_IDENTITY = ("userID", "groupID", "conversationID")
_TEXTS = frozenset({"content", "detail"})
# The status of a message is 1 while it comes from the cache, and 2 once it comes from the database [F85].
_CACHED_OR_STORED = (1, 2)
_FORMS = {
    "24 hexadecimal digits": re.compile(r"[0-9a-f]{24}"),
    "32 hexadecimal digits": re.compile(r"[0-9a-f]{32}"),
    "a number of up to ten digits": re.compile(r"[0-9]{1,10}"),
}
_MIN_TIME_MS = 1_500_000_000_000


class SdkComparison(Comparison):
    """Compares the answers of one replay; `bindings` are the ids, `times` the recorded and actual times in Unix ms.

    Args:
        prefixes: recorded prefix of user ids, administrator or secret -> the one of this replay.
    """

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self.bindings = Bindings(prefixes)
        self.times: dict[int, int] = {}

    def copy(self) -> SdkComparison:
        """A copy for an attempt that may fail."""
        copied = SdkComparison(self.bindings.actual)
        copied.times = dict(self.times)
        return copied

    def filled(self, recorded: Any) -> Any:
        """A recorded value with everything replaced that is bound so far."""
        return self.bindings.fill(recorded)

    def pairs(self, recorded: list[Any], actual: list[Any], key: str) -> list[tuple[Any, Any]]:
        """Entries by position, those of unordered lists by their ids; none where the lengths differ."""
        if len(recorded) != len(actual):
            return []
        if key in UNORDERED or key in UNORDERED_IDS:
            recorded = sorted(recorded, key=lambda one: _identity(self.filled(one)))
            actual = sorted(actual, key=_identity)
        return list(zip(recorded, actual, strict=True))

    def scalars(self, recorded: Any, actual: Any, path: str, key: str) -> Iterator[str]:
        """Bind ids and times, and compare the rest."""
        if key in MADE_TIMES and isinstance(recorded, int):
            yield from self._time(recorded, actual, path)
        elif key in _TEXTS and isinstance(recorded, str):
            yield from self._text(recorded, actual, path)
        elif key in MADE_IDS and recorded and recorded not in self.bindings.actual:
            yield from self._new_id(recorded, actual, path)
        elif self.filled(recorded) != actual and not _is_message_status(path, recorded, actual):
            yield self.unequal(recorded, actual, path)

    def _time(self, recorded: int, actual: int, path: str) -> Iterator[str]:
        if recorded < _MIN_TIME_MS:
            if recorded != actual:
                yield self.unequal(recorded, actual, path)
        elif actual < _MIN_TIME_MS:
            yield f"{path} = {actual} is not a time in milliseconds"
        elif self.times.setdefault(recorded, actual) != actual:
            yield f"{path} = {actual}, but the same recorded time was {self.times[recorded]} before"

    def _new_id(self, recorded: str, actual: str, path: str) -> Iterator[str]:
        for form, pattern in _FORMS.items():
            if pattern.fullmatch(recorded) and not pattern.fullmatch(actual):
                yield f"{path} = {shown(actual)} is not {form}, as {shown(recorded)} is"
                return
        if not self.bindings.bind(recorded, actual):
            yield f"{path} = {shown(actual)} is already the value of another recorded id"
            self.bindings.assign(recorded, actual)

    def _text(self, recorded: str, actual: str, path: str) -> Iterator[str]:
        """Texts that hold JSON are compared as JSON."""
        try:
            before, now = json.loads(recorded), json.loads(actual)
        except ValueError:
            if self.filled(recorded) != actual:
                yield self.unequal(recorded, actual, path)
            return
        yield from self.differences(before, now, f"{path}()")


def _is_message_status(path: str, recorded: Any, actual: Any) -> bool:
    return path.endswith(".lastMsg.status") and recorded in _CACHED_OR_STORED and actual in _CACHED_OR_STORED


def _identity(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    return next((str(one[name]) for name in _IDENTITY if one.get(name)), "")


def count_made(value: Any, key: str = "") -> int:
    """How many values in an answer the server makes."""
    if isinstance(value, dict):
        return sum(count_made(one, name) for name, one in value.items())
    if isinstance(value, list):
        return sum(count_made(one) for one in value)
    return int(bool(value) and (key in MADE_IDS or key in MADE_TIMES))
