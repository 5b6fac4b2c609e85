"""The recorded cases, and what their symbols stand for."""

from __future__ import annotations

import base64
import gzip
import json
import re
import secrets
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from suites.contract.openim import tokens

RECORDING = Path(__file__).parent / "recordings" / "rest.jsonl.gz"
NOT_ASSERTED = {"msg-unstored": "holds a race between the real server's queue and its database"}
_RECORDED_ADMIN, _RECORDED_SECRET = "imAdmin", "openIM123"

_SYMBOL = re.compile(r"<(?:user:[^<>]+|admin(?:#\w+)?|group:\w+|jwt:[\w-]+|opid)>")
_BASE64_KEY = re.compile(r"<base64 of (\{.*\})>")
_REPEATED = re.compile(r"'(.)'\*(\d+)")


@dataclass(frozen=True)
class Case:
    """One recorded request and answer."""

    case: str
    flow: str
    method: str
    path: str
    headers: dict[str, str]
    request: Any
    status: int
    response: Any
    depends_on: list[str]
    volatile: list[str] = field(default_factory=list)
    unordered: list[str] = field(default_factory=list)
    settle_ms: int = 0
    note: str = ""

    @property
    def issued(self) -> str:
        """The symbol of the token that this case gets, "" if none."""
        data = self.response.get("data") if isinstance(self.response, dict) else None
        token = data.get("token") if isinstance(data, dict) else None
        return token if isinstance(token, str) else ""


def load(path: Path = RECORDING) -> list[Case]:
    """All cases in the order in which they were recorded."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [Case(**json.loads(line)) for line in lines]


def flows(cases: Iterable[Case]) -> list[str]:
    """The flows that are asserted."""
    return [flow for flow in dict.fromkeys(case.flow for case in cases) if flow not in NOT_ASSERTED]


def closure(cases: list[Case], flow: str) -> list[Case]:
    """A flow's cases with those of other flows that must have run before, in recorded order."""
    by_name = {case.case: case for case in cases}
    wanted = {case.case for case in cases if case.flow == flow}
    queue = list(wanted)
    while queue:
        for name in by_name[queue.pop()].depends_on:
            if name not in wanted:
                wanted.add(name)
                queue.append(name)
    return [case for case in cases if case.case in wanted]


class Symbols:
    """What the symbols of one replay stand for. `{P}` is a fresh prefix, so that a server can be used again."""

    def __init__(self, *, secret: str, admin: str, now_s: float, prefix: str = "") -> None:
        alphabet = string.ascii_lowercase + string.digits
        self.prefix = prefix or "q" + "".join(secrets.choice(alphabet) for _ in range(6)) + "_"
        self._admin = admin
        self._secret = secret
        self._bound = {f"<jwt:{name}>": token for name, token in tokens.forged(self.prefix, secret, admin, now_s)}
        self._bound["<opid>"] = f"op-{self.prefix}"

    def bind(self, recorded: Any, answered: Any) -> None:
        """Learn the values that an answer shows where the recorded one has symbols not known yet."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            for key in recorded.keys() & answered.keys():
                self.bind(recorded[key], answered[key])
        elif isinstance(recorded, str) and isinstance(answered, str) and _SYMBOL.fullmatch(recorded):
            name = self._plain(recorded)
            if recorded == "<admin>" or name not in self._bound:
                self._bound[name] = answered

    def fill(self, value: Any) -> Any:
        """The value with its symbols replaced and its long parts written out."""
        if isinstance(value, str):
            return _SYMBOL.sub(self._known, self._plain(value))
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            if "$list" in value:
                return self._list(**value["$list"])
            if "$string" in value:
                return self._string(**value["$string"])
            if "$truncated_list" in value:
                return {"$truncated_list": self._truncated(**value["$truncated_list"])}
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        return value

    def back(self) -> Callable[[str], str]:
        """The way back into a recording: a text of this run with the symbols that its values stood for."""
        names = {value: name.replace(self.prefix, "{P}") for name, value in self._bound.items() if len(value) > 3}
        names |= {self._secret: _RECORDED_SECRET}
        pattern = re.compile("|".join(re.escape(value) for value in sorted(names, key=len, reverse=True)))
        admin = re.compile(rf"(?<![0-9A-Za-z]){re.escape(self._admin)}(?![0-9A-Za-z])")

        def change(text: str) -> str:
            text = pattern.sub(lambda found: names[found[0]], text).replace(self.prefix, "{P}")
            return admin.sub(_RECORDED_ADMIN, text)

        return change

    def path(self, text: str) -> str:
        """A path with its query."""
        found = _BASE64_KEY.search(text)
        if found is None:
            return text
        key = base64.b64encode(str(self.fill(found[1])).encode()).decode()
        return text[: found.start()] + quote(key, safe="")

    def _plain(self, text: str) -> str:
        text = text.replace("{P}", self.prefix).replace("x*880", "x" * 880)
        return text.replace(_RECORDED_ADMIN, self._admin) if text == _RECORDED_ADMIN else self._admin_in(text)

    def _admin_in(self, text: str) -> str:
        if text == _RECORDED_SECRET:
            return self._secret
        return re.sub(rf"\b{_RECORDED_ADMIN}\b|(?<=_){_RECORDED_ADMIN}(?=_)", self._admin, text)

    def _known(self, found: re.Match[str]) -> str:
        return self._bound.get(found[0], found[0])

    def _list(self, count: int, template: Any, i_from: int) -> list[Any]:
        return [self._numbered(template, number, "{i}") for number in range(i_from, i_from + count)]

    def _numbered(self, template: Any, number: int, mark: str) -> Any:
        if isinstance(template, str):
            return str(self.fill(template)).replace(mark, str(number))
        if isinstance(template, dict):
            return {key: self._numbered(item, number, mark) for key, item in template.items()}
        return template

    def _string(self, template: str, total_length: int | None = None) -> str:
        if total_length is not None:
            return self.prefix + "l" * (total_length - len(self.prefix))
        found = _REPEATED.fullmatch(template)
        if found is None:
            raise ValueError(f"unknown template of a long string: {template}")
        return found[1] * int(found[2])

    def _truncated(self, length: int, first: list[Any], last: list[Any]) -> dict[str, Any]:
        start = length - len(last)
        return {
            "length": length,
            "first": [self._numbered(item, number, "<i>") for number, item in enumerate(first)],
            "last": [self._numbered(item, start + number, "<i>") for number, item in enumerate(last)],
        }
