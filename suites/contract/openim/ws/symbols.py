"""What stands for what: a recorded id, token, time, and the one that this run has in its place."""

from __future__ import annotations

import base64
import re
import secrets
import string
import time
from collections.abc import Callable
from typing import Any

from suites.contract.openim.texts import each_text
from suites.contract.openim.ws.recording import USER, Session

RECORDED_ADMIN = "imAdmin"
ID = re.compile(r"[0-9a-f]{32}")
"""Message ids: 32 hex digits, whoever made them."""
TOKEN = re.compile(r"<TOKEN [^<>]+>")
_BASE64URL = re.compile(r"<BASE64URL of (\{.*\})>")
_ALPHABET = string.ascii_lowercase + string.digits


def is_generated(text: str) -> bool:
    """Whether this is a message id that somebody drew, not one that a test chose."""
    return ID.fullmatch(text) is not None and len(set(text)) > 1


class Symbols:
    """The stand-ins of one replayed session. Each recorded value has one, and no two share one."""

    def __init__(self, session: Session, *, prefix: str | None = None, admin: str = RECORDED_ADMIN) -> None:
        self.prefix = f"q{''.join(secrets.choice(_ALPHABET) for _ in range(6))}_" if prefix is None else prefix
        self.admin = admin
        self.started_ms = int(time.time() * 1000)
        self._bound: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        self._times: dict[tuple[str, str], int] = {}
        self._groups = set(session.groups)
        groups = [rf"(?<!\d){re.escape(group)}(?!\d)" for group in session.groups]
        self._any = re.compile("|".join([TOKEN.pattern, USER.pattern, *groups]))

    def user(self, recorded: str) -> str:
        """A user's id in this run."""
        return self.admin if recorded == RECORDED_ADMIN else self.prefix + recorded

    def bind(self, recorded: str, actual: str) -> bool:
        """Let `actual` stand for `recorded`; False when either already has another partner."""
        known = self._bound.get(recorded)
        if known is not None:
            return known == actual
        if self._taken.get(actual, recorded) != recorded:
            return False
        self._bound[recorded], self._taken[actual] = actual, recorded
        return True

    def known(self, recorded: str) -> str | None:
        """What stands for a recorded value, None as long as nothing does."""
        return self._bound.get(recorded)

    def fresh_id(self, recorded: str) -> str:
        """The message id that a client uses in this run instead of a recorded one."""
        if not is_generated(recorded):
            return str(self.fill(recorded))
        if recorded not in self._bound:
            self.bind(recorded, secrets.token_hex(16))
        return self._bound[recorded]

    def bind_time(self, owner: str, field: str, actual: int) -> int:
        """A message's time: the first one seen is what every later frame must show."""
        return self._times.setdefault((owner, field), actual)

    def bound_time(self, owner: str, field: str) -> int | None:
        """What `bind_time` was told, None where nothing was."""
        return self._times.get((owner, field))

    def fill(self, value: Any) -> Any:
        """A recorded value with everything replaced that is known so far."""
        return each_text(value, self._text)

    def group_unknown(self, recorded: str) -> bool:
        """Whether this is a group's id that no answer has told yet."""
        return recorded in self._groups and recorded not in self._bound

    def _text(self, text: str) -> str:
        whole = self._bound.get(text)
        if whole is not None:
            return whole
        if text == RECORDED_ADMIN:
            return self.admin
        return self._any.sub(self._partner, text)

    def _partner(self, found: re.Match[str]) -> str:
        text = found[0]
        return self._bound.get(text, self.prefix + text if USER.fullmatch(text) else text)

    def head(self, raw: bytes, host: str) -> bytes:
        """A recorded HTTP head, addressed to `host`."""
        text = self._head_text(raw.decode("latin-1"))
        return re.sub(r"(?m)^Host: [^\r\n]*", f"Host: {host}", text, count=1).encode("latin-1")

    def _head_text(self, text: str) -> str:
        found = _BASE64URL.search(text)
        if found is None:
            return self._text(text)
        inner = base64.urlsafe_b64encode(self._text(found[1]).encode()).rstrip(b"=").decode()
        return self._text(text[: found.start()]) + inner + self._text(text[found.end() :])

    def back(self) -> Callable[[str], str]:
        """The way back into a recording: a text of this run with what its ids, tokens and users stood for."""
        partners = {actual: recorded for actual, recorded in self._taken.items() if actual != recorded}
        if self.admin != RECORDED_ADMIN:
            partners[self.admin] = RECORDED_ADMIN
        longest_first = sorted(partners, key=len, reverse=True)
        parts = [re.escape(one) for one in longest_first] + ([re.escape(self.prefix)] if self.prefix else [])
        pattern = re.compile("|".join(parts) or r"(?!)")
        return lambda text: pattern.sub(lambda found: partners.get(found[0], ""), text)
