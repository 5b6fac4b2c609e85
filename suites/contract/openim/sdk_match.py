"""Comparing an SDK's answers with the recorded ones, all values included.

Values that a server makes (ids, tokens, times) differ from run to run, yet not freely: what was one value in the
recording is one value in the answers, two ids stay two, and each has the recorded form. So they are bound where they
are first seen and compared ever after; every other value must be the recorded one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from suites.contract.openim.texts import each_text

MADE_IDS = frozenset({"versionID", "connID", "token", "clientMsgID", "serverMsgID", "groupID"})
MADE_TIMES = frozenset(
    {"createTime", "joinTime", "sendTime", "revokeTime", "sourceMessageSendTime", "notificationUpdateTime"}
)
# By role and time, or through a cache: the real server promises no order within these.
UNORDERED = frozenset({"usersInfo", "members", "groups", "groupInfos", "insert", "update", "delete"})
UNORDERED_IDS = frozenset({"conversationIDs", "groupIDs", "userIDs"})
_IDENTITY = ("userID", "groupID", "conversationID")
_TEXTS = frozenset({"content", "detail"})
# A message comes with 1 from the cache and with 2 from the store, whichever is first (WS: pulled messages).
_STORED_OR_NOT = (1, 2)
_FORMS = {
    "24 hexadecimal digits": re.compile(r"[0-9a-f]{24}"),
    "32 hexadecimal digits": re.compile(r"[0-9a-f]{32}"),
    "a number of up to ten digits": re.compile(r"[0-9]{1,10}"),
}
_MIN_TIME_MS = 1_500_000_000_000


@dataclass
class Names:
    """What the recorded ids and times stand for in one replay."""

    prefixes: Mapping[str, str]
    ids: dict[str, str] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)

    def copy(self) -> Names:
        """The same, for an attempt that may fail."""
        return Names(self.prefixes, dict(self.ids), dict(self.times))

    def fill(self, value: Any) -> Any:
        """A recorded value in terms of this replay."""
        return each_text(value, self._text)

    def _text(self, text: str) -> str:
        known = {**self.prefixes, **self.ids}
        pattern = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
        return re.sub(pattern, lambda found: known[found[0]], text)

    def differences(self, recorded: Any, answered: Any, path: str = "$", key: str = "") -> Iterator[str]:
        """Where the answer differs from the recorded one, as sentences; what is new in it is bound on the way."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            yield from self._objects(recorded, answered, path)
        elif isinstance(recorded, list) and isinstance(answered, list):
            yield from self._lists(recorded, answered, path, key)
        elif type(recorded) is not type(answered):
            yield f"{path} = {answered!r}, recorded {recorded!r}"
        elif key in MADE_TIMES and isinstance(recorded, int):
            yield from self._time(recorded, answered, path)
        elif key in _TEXTS and isinstance(recorded, str):
            yield from self._inner(recorded, answered, path)
        elif key in MADE_IDS and recorded and recorded not in self.ids:
            yield from self._new_id(recorded, answered, path)
        elif self.fill(recorded) != answered and not (key == "status" and _is_message(path, recorded, answered)):
            yield f"{path} = {answered!r}, recorded {self.fill(recorded)!r}"

    def _objects(self, recorded: dict[str, Any], answered: dict[str, Any], path: str) -> Iterator[str]:
        named = {self._text(key): (key, value) for key, value in recorded.items()}
        for name in named.keys() - answered.keys():
            yield f"{path}.{name} is missing; recorded {self.fill(named[name][1])!r}"
        for name in answered.keys() - named.keys():
            yield f"{path}.{name} = {answered[name]!r} was not recorded"
        for name in named:
            if name in answered:
                yield from self.differences(named[name][1], answered[name], f"{path}.{name}", named[name][0])

    def _lists(self, recorded: list[Any], answered: list[Any], path: str, key: str) -> Iterator[str]:
        if len(recorded) != len(answered):
            yield f"{path} has {len(answered)} entries, recorded {len(recorded)}: {answered!r}"
            return
        if key in UNORDERED or key in UNORDERED_IDS:
            recorded = sorted(recorded, key=lambda one: _identity(self.fill(one)))
            answered = sorted(answered, key=_identity)
        for index, (one, other) in enumerate(zip(recorded, answered, strict=True)):
            yield from self.differences(one, other, f"{path}[{index}]")

    def _time(self, recorded: int, answered: int, path: str) -> Iterator[str]:
        if recorded < _MIN_TIME_MS:
            if recorded != answered:
                yield f"{path} = {answered}, recorded {recorded}"
            return
        if answered < _MIN_TIME_MS:
            yield f"{path} = {answered} is no time in milliseconds"
        elif self.times.setdefault(recorded, answered) != answered:
            yield f"{path} = {answered}, the same time was {self.times[recorded]} before"

    def _new_id(self, recorded: str, answered: str, path: str) -> Iterator[str]:
        for form, pattern in _FORMS.items():
            if pattern.fullmatch(recorded) and not pattern.fullmatch(answered):
                yield f"{path} = {answered!r} is not {form}, as {recorded!r} is"
                return
        if answered in self.ids.values():
            yield f"{path} = {answered!r} stands for another recorded id already"
        self.ids[recorded] = answered

    def _inner(self, recorded: str, answered: str, path: str) -> Iterator[str]:
        """Texts that hold JSON are compared as what they hold."""
        try:
            before, now = json.loads(recorded), json.loads(answered)
        except ValueError:
            if self.fill(recorded) != answered:
                yield f"{path} = {answered!r}, recorded {self.fill(recorded)!r}"
            return
        yield from self.differences(before, now, f"{path}()")


def _is_message(path: str, recorded: Any, answered: Any) -> bool:
    return path.endswith(".lastMsg.status") and recorded in _STORED_OR_NOT and answered in _STORED_OR_NOT


def _identity(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    return next((str(one[name]) for name in _IDENTITY if one.get(name)), "")


def made(value: Any, key: str = "") -> int:
    """How many values of an answer a server makes."""
    if isinstance(value, dict):
        return sum(made(one, name) for name, one in value.items())
    if isinstance(value, list):
        return sum(made(one) for one in value)
    return int(bool(value) and (key in MADE_IDS or key in MADE_TIMES))
