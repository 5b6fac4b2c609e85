"""Comparing an answer with a recorded one: what is volatile is masked, unordered lists are sorted."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

_STEP = re.compile(r"\.(\*|[^.\[\]]+)|\[(\*|\d+)\]")
_MASK = "<volatile>"
_MAX_SHOWN = 300


def differences(
    recorded: Any, answered: Any, *, volatile: Iterable[str] = (), unordered: Iterable[str] = ()
) -> list[str]:
    """Where the two differ, as sentences; empty when they agree. Neither argument is changed."""
    recorded, answered = json.loads(json.dumps(recorded)), json.loads(json.dumps(answered))
    for path in volatile:
        for side in (recorded, answered):
            _at(side, path, lambda _value: _MASK)
    for path in unordered:
        for side in (recorded, answered):
            _at(side, path, _sorted)
    return list(_compare("$", recorded, answered))


def _sorted(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True))


def _at(value: Any, path: str, change: Callable[[Any], Any]) -> None:
    steps = [name or index for name, index in _STEP.findall(path.removeprefix("$"))]
    _descend(value, steps, change)


def _descend(value: Any, steps: list[str], change: Callable[[Any], Any]) -> None:
    step, *rest = steps
    keys: list[Any]
    if isinstance(value, dict):
        keys = list(value) if step == "*" else [step] if step in value else []
    elif isinstance(value, list) and (step == "*" or step.isdecimal()):
        keys = list(range(len(value))) if step == "*" else [int(step)]
    else:
        return
    for key in keys:
        if rest:
            _descend(value[key], rest, change)
        else:
            value[key] = change(value[key])


def _compare(path: str, recorded: Any, answered: Any) -> Iterable[str]:
    form = _form(recorded)
    if form and isinstance(answered, dict) and form in answered:
        yield from _compare(path, recorded[form], answered[form])  # two recordings
    elif form:
        yield from _FORMS[form](path, recorded[form], answered)
    elif isinstance(recorded, dict) and isinstance(answered, dict):
        for key in recorded.keys() | answered.keys():
            if key not in answered:
                yield f"{path}.{key} is missing; recorded {_shown(recorded[key])}"
            elif key not in recorded:
                yield f"{path}.{key} = {_shown(answered[key])} was not recorded"
            else:
                yield from _compare(f"{path}.{key}", recorded[key], answered[key])
    elif isinstance(recorded, list) and isinstance(answered, list):
        if len(recorded) != len(answered):
            yield f"{path} has {len(answered)} entries, recorded {len(recorded)}: {_shown(answered)}"
        for index, (one, other) in enumerate(zip(recorded, answered, strict=False)):
            yield from _compare(f"{path}[{index}]", one, other)
    elif recorded != answered or type(recorded) is not type(answered):
        yield f"{path} = {_shown(answered)}, recorded {_shown(recorded)}"


def _compare_base64(path: str, recorded: str, answered: Any) -> Iterable[str]:
    try:
        text = base64.b64decode(answered, validate=True).decode()
    except (ValueError, TypeError):
        yield f"{path} = {_shown(answered)} is no base64 text; recorded {_shown(recorded)}"
        return
    if text != recorded:
        yield f"{path} decodes to {_shown(text)}, recorded {_shown(recorded)}"


def _compare_truncated(path: str, recorded: dict[str, Any], answered: Any) -> Iterable[str]:
    if not isinstance(answered, list) or len(answered) != recorded["length"]:
        yield f"{path} should be a list of {recorded['length']}"
        return
    first, last = recorded["first"], recorded["last"]
    yield from _compare(f"{path}[:{len(first)}]", first, answered[: len(first)])
    yield from _compare(f"{path}[-{len(last)}:]", last, answered[-len(last) :])


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


_FORMS: dict[str, Callable[[str, Any, Any], Iterable[str]]] = {
    "$base64_json": _compare_base64,
    "$truncated_list": _compare_truncated,
}


def _form(recorded: Any) -> str:
    """Which of the forms for long or encoded values this is, "" for none."""
    return next((one for one in _FORMS if isinstance(recorded, dict) and recorded.keys() == {one}), "")
