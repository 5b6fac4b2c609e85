"""Comparing the values in the frames of a session with the recorded ones."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from suites.contract.openim.shared.comparison import Comparison, shown
from suites.contract.openim.ws.bindings import ID, TOKEN, SessionBindings, is_generated

_TIMES_MS = range(1_500_000_000_000, 4_100_000_000_000)
_WINDOW_MS = 3_600_000


class WsComparison(Comparison):
    """Compares exactly, except for generated ids, tokens and times, which are bound where they are first seen.

    Args:
        given_times: send times that clients set themselves, in Unix ms; they are compared exactly.
    """

    def __init__(self, bindings: SessionBindings, given_times: Set[int] = frozenset()) -> None:
        self._bindings = bindings
        self._given_times = given_times

    def filled(self, recorded: Any) -> Any:
        """A recorded value with everything replaced that is bound so far."""
        return self._bindings.fill(recorded)

    def objects(self, recorded: dict[str, Any], actual: dict[str, Any], path: str) -> Iterator[str]:
        """Compare members, then the times of messages."""
        yield from super().objects(recorded, actual, path)
        yield from self._message_times(recorded, actual, path)

    def _message_times(self, recorded: dict[str, Any], actual: dict[str, Any], path: str) -> Iterator[str]:
        """Every frame shows the same times for a message, and the createTime that its sender set."""
        owner = recorded.get("serverMsgID")
        for field in ("sendTime", "createTime"):
            one, other = recorded.get(field), actual.get(field)
            if not self._is_time(one) or not isinstance(other, int):
                continue
            given = f"client:{recorded.get('clientMsgID', '')}:{one}"
            expected = self._bindings.bound_time(given, field)
            if expected is None and isinstance(owner, str):
                expected = self._bindings.bind_time(owner, field, other)
            if expected is not None and expected != other:
                yield f"{path}.{field} = {other}, but an earlier frame showed {expected} for this message"

    def scalars(self, recorded: Any, actual: Any, path: str, key: str) -> Iterator[str]:
        """Bind what is generated, and compare the rest."""
        if isinstance(recorded, str):
            yield from self._texts(recorded, actual, path)
        elif self._is_time(recorded):
            yield from self._times(actual, path)
        elif recorded != actual:
            yield self.unequal(recorded, actual, path)

    def _texts(self, recorded: str, actual: str, path: str) -> Iterator[str]:
        generated = is_generated(recorded)
        made_by_server = generated or TOKEN.fullmatch(recorded) is not None or self._bindings.group_unknown(recorded)
        if made_by_server and recorded not in self._bindings.actual:
            if generated and ID.fullmatch(actual) is None:
                yield f"{path} = {shown(actual)} is not an id of 32 hexadecimal digits"
            elif not self._bindings.bind(recorded, actual):
                yield f"{path} = {shown(actual)} is already the value of something else"
            return
        if self._bindings.fill_text(recorded) != actual:
            yield self.unequal(recorded, actual, path)

    def _is_time(self, value: Any) -> bool:
        """Whether this is the time of the recording in ms; a time that a client chose is not."""
        return type(value) is int and value in _TIMES_MS and value not in self._given_times

    def _times(self, actual: int, path: str) -> Iterator[str]:
        started_ms = self._bindings.started_ms
        if actual not in _TIMES_MS or (started_ms and abs(actual - started_ms) > _WINDOW_MS):
            yield f"{path} = {actual} is not a time in ms within an hour of this replay"
