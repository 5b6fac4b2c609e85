"""The values of the symbols in the REST cases, in one replay."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from suites.contract.openim.shared.bindings import (
    RECORDED_ADMIN,
    RECORDED_SECRET,
    Bindings,
    fresh_prefix,
    replacer,
)
from suites.contract.openim.shared.forged_tokens import forged_tokens

_SYMBOL = re.compile(r"<(?:user:[^<>]+|admin(?:#\w+)?|group:\w+|jwt:[\w-]+|opid)>")
_BASE64_KEY = re.compile(r"<base64 of (\{.*\})>")
_REPEATED = re.compile(r"'(.)'\*(\d+)")


class RestBindings(Bindings):
    """Symbol -> value. `{P}` is the prefix of the ids of this replay; the README of the recordings lists the symbols."""

    def __init__(self, *, secret: str, admin: str, now_s: float, prefix: str = "") -> None:
        self.prefix = prefix or fresh_prefix()
        forged = forged_tokens(self.prefix, secret, admin, now_s)
        super().__init__({**{f"<jwt:{name}>": token for name, token in forged}, "<opid>": f"op-{self.prefix}"})
        self._admin = admin
        self._secret = secret

    def learn(self, recorded: Any, answered: Any) -> None:
        """Bind each symbol of the recorded answer that has no value yet to the value in the same place."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            for key in recorded.keys() & answered.keys():
                self.learn(recorded[key], answered[key])
        elif isinstance(recorded, str) and isinstance(answered, str) and _SYMBOL.fullmatch(recorded):
            name = self._with_prefix(recorded)
            if recorded == "<admin>" or name not in self.actual:
                self.assign(name, answered)

    def fill(self, value: Any) -> Any:
        """The value with its symbols replaced and its long parts written out."""
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            if "$list" in value:
                return self._list(**value["$list"])
            if "$string" in value:
                return self._string(**value["$string"])
            if "$truncated_list" in value:
                return {"$truncated_list": self._truncated(**value["$truncated_list"])}
            return {self.fill_text(key): self.fill(item) for key, item in value.items()}
        return super().fill(value)

    def fill_text(self, text: str) -> str:
        """The same for one string."""
        return _SYMBOL.sub(lambda found: self.actual.get(found[0], found[0]), self._with_prefix(text))

    def to_recorded(self) -> Callable[[str], str]:
        """A function that replaces the values in a text of this replay with their symbols."""
        names = {value: name.replace(self.prefix, "{P}") for value, name in self.recorded.items() if len(value) > 3}
        change = replacer(names | {self._secret: RECORDED_SECRET})
        admin = re.compile(rf"(?<![0-9A-Za-z]){re.escape(self._admin)}(?![0-9A-Za-z])")
        return lambda text: admin.sub(RECORDED_ADMIN, change(text).replace(self.prefix, "{P}"))

    def path(self, text: str) -> str:
        """A recorded path with its query."""
        found = _BASE64_KEY.search(text)
        if found is None:
            return text
        key = base64.b64encode(self.fill_text(found[1]).encode()).decode()
        return text[: found.start()] + quote(key, safe="")

    def _with_prefix(self, text: str) -> str:
        text = text.replace("{P}", self.prefix).replace("x*880", "x" * 880)
        if text == RECORDED_SECRET:
            return self._secret
        return re.sub(rf"\b{RECORDED_ADMIN}\b|(?<=_){RECORDED_ADMIN}(?=_)", self._admin, text)

    def _list(self, count: int, template: Any, i_from: int) -> list[Any]:
        return [self._numbered(template, number, "{i}") for number in range(i_from, i_from + count)]

    def _numbered(self, template: Any, number: int, mark: str) -> Any:
        if isinstance(template, str):
            return self.fill_text(template).replace(mark, str(number))
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
