"""Whether a value is the recorded one, once symbols, ids and times have their partners."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from typing import Any

from suites.contract.openim.ws.symbols import ID, TOKEN, Symbols, is_generated

_TIMES_MS = range(1_500_000_000_000, 4_100_000_000_000)
_WINDOW_MS = 3_600_000
_MAX_SHOWN = 200


class Unifier:
    """Compares recorded values with this run's, binding what was not bound before.

    `given_times` are send times that clients set themselves.
    """

    def __init__(self, symbols: Symbols, given_times: Set[int] = frozenset()) -> None:
        self._symbols = symbols
        self._given_times = given_times

    def differences(self, path: str, recorded: Any, actual: Any) -> Iterator[str]:
        """Where the two differ, as sentences."""
        if isinstance(recorded, dict) and isinstance(actual, dict):
            yield from self._dicts(path, recorded, actual)
        elif isinstance(recorded, list) and isinstance(actual, list):
            if len(recorded) != len(actual):
                yield f"{path} has {len(actual)} entries, recorded {len(recorded)}: {shown(actual)}"
            for index, (one, other) in enumerate(zip(recorded, actual, strict=False)):
                yield from self.differences(f"{path}[{index}]", one, other)
        elif type(recorded) is not type(actual):
            yield f"{path} = {shown(actual)}, recorded {shown(self._symbols.fill(recorded))}"
        elif isinstance(recorded, str):
            yield from self._texts(path, recorded, actual)
        elif self._is_time(recorded):
            yield from self._times(path, actual)
        elif recorded != actual:
            yield f"{path} = {shown(actual)}, recorded {shown(recorded)}"

    def _dicts(self, path: str, recorded: dict[str, Any], actual: dict[str, Any]) -> Iterator[str]:
        expected = {self._symbols.fill(key): (key, value) for key, value in recorded.items()}
        for key in expected.keys() - actual.keys():
            yield f"{path}.{key} is missing; recorded {shown(self._symbols.fill(expected[key][1]))}"
        for key in actual.keys() - expected.keys():
            yield f"{path}.{key} = {shown(actual[key])} was not recorded"
        for key in (key for key in expected if key in actual):
            yield from self.differences(f"{path}.{key}", expected[key][1], actual[key])
        yield from self._one_story(path, recorded, actual)

    def _one_story(self, path: str, recorded: dict[str, Any], actual: dict[str, Any]) -> Iterator[str]:
        """A message shows the same times wherever it is shown, and the createTime that its sender gave it."""
        owner = recorded.get("serverMsgID")
        for field in ("sendTime", "createTime"):
            one, other = recorded.get(field), actual.get(field)
            if not self._is_time(one) or not isinstance(other, int):
                continue
            given = f"client:{recorded.get('clientMsgID', '')}:{one}"
            expected = self._symbols.bound_time(given, field)
            if expected is None and isinstance(owner, str):
                expected = self._symbols.bind_time(owner, field, other)
            if expected is not None and expected != other:
                yield f"{path}.{field} = {other}, but this message showed {expected} before"

    def _texts(self, path: str, recorded: str, actual: str) -> Iterator[str]:
        generated = is_generated(recorded)
        drawn = generated or TOKEN.fullmatch(recorded) is not None or self._symbols.group_unknown(recorded)
        if drawn and self._symbols.known(recorded) is None:
            if generated and ID.fullmatch(actual) is None:
                yield f"{path} = {shown(actual)} is no id of 32 hex digits"
            elif not self._symbols.bind(recorded, actual):
                yield f"{path} = {shown(actual)} is what something else showed before"
            return
        expected = self._symbols.fill(recorded)
        if expected != actual:
            yield f"{path} = {shown(actual)}, recorded {shown(expected)}"

    def _is_time(self, value: Any) -> bool:
        """Whether this was the present, in ms, when it was recorded. A time that a client chose travels as it is."""
        return type(value) is int and value in _TIMES_MS and value not in self._given_times

    def _times(self, path: str, actual: int) -> Iterator[str]:
        if actual not in _TIMES_MS or (
            self._symbols.started_ms and abs(actual - self._symbols.started_ms) > _WINDOW_MS
        ):
            yield f"{path} = {actual} is no time in ms of this run"


def shown(value: Any) -> str:
    """A value, short enough to read."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
