"""Comparing the answer to a REST case with the recorded one. Volatile values are masked, unordered lists sorted."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from suites.contract.openim.shared.comparison import Comparison, shown

_STEP = re.compile(r"\.(\*|[^.\[\]]+)|\[(\*|\d+)\]")
_MASK = "<volatile>"


def differences(
    recorded: Any, answered: Any, *, volatile: Iterable[str] = (), unordered: Iterable[str] = ()
) -> list[str]:
    """Each difference as a sentence; neither argument is changed.

    Args:
        volatile: JSON paths whose values may differ, for example `$.data.rows[*].time`.
        unordered: JSON paths of lists whose order does not count.
    """
    recorded, answered = json.loads(json.dumps(recorded)), json.loads(json.dumps(answered))
    for path in volatile:
        for side in (recorded, answered):
            _change_at(side, path, lambda _value: _MASK)
    for path in unordered:
        for side in (recorded, answered):
            _change_at(side, path, _sorted)
    return list(RestComparison().differences(recorded, answered))


class RestComparison(Comparison):
    """Exact, and aware of the forms in which the recording writes long and encoded values."""

    def special(self, recorded: Any, actual: Any, path: str) -> Iterator[str] | None:
        """Compare the forms `$base64_json` and `$truncated_list`."""
        form = next(iter(recorded)) if isinstance(recorded, dict) and len(recorded) == 1 else ""
        if form not in ("$base64_json", "$truncated_list"):
            return None
        if isinstance(actual, dict) and form in actual:  # the actual value is of a recording too
            return self.differences(recorded[form], actual[form], path)
        compare = self._base64 if form == "$base64_json" else self._truncated
        return compare(recorded[form], actual, path)

    def _base64(self, recorded: str, actual: Any, path: str) -> Iterator[str]:
        try:
            text = base64.b64decode(actual, validate=True).decode()
        except (ValueError, TypeError):
            yield f"{path} = {shown(actual)} is not base64 text; recorded {shown(recorded)}"
            return
        if text != recorded:
            yield f"{path} decodes to {shown(text)}, recorded {shown(recorded)}"

    def _truncated(self, recorded: dict[str, Any], actual: Any, path: str) -> Iterator[str]:
        if not isinstance(actual, list) or len(actual) != recorded["length"]:
            yield f"{path} should be a list of {recorded['length']} entries"
            return
        first, last = recorded["first"], recorded["last"]
        yield from self.differences(first, actual[: len(first)], f"{path}[:{len(first)}]")
        yield from self.differences(last, actual[-len(last) :], f"{path}[-{len(last)}:]")


def _sorted(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True))


def _change_at(value: Any, path: str, change: Callable[[Any], Any]) -> None:
    steps = [name or index for name, index in _STEP.findall(path.removeprefix("$"))]
    _descend(value, steps, change)


def _descend(value: Any, steps: list[str], change: Callable[[Any], Any]) -> None:
    step, *remaining = steps
    keys: list[Any]
    if isinstance(value, dict):
        keys = list(value) if step == "*" else [step] if step in value else []
    elif isinstance(value, list) and (step == "*" or step.isdecimal()):
        keys = list(range(len(value))) if step == "*" else [int(step)]
    else:
        return
    for key in keys:
        if remaining:
            _descend(value[key], remaining, change)
        else:
            value[key] = change(value[key])
