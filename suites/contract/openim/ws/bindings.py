"""Binding the recorded ids, tokens, users and times of a session to those of a replay."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable

from suites.contract.openim.shared.bindings import RECORDED_ADMIN, Bindings, fresh_prefix, replacer
from suites.contract.openim.ws.recording import USER, Session

ID = re.compile(r"[0-9a-f]{32}")
"""Message ids of clients and servers: 32 hexadecimal digits."""
TOKEN = re.compile(r"<TOKEN [^<>]+>")
_BASE64URL = re.compile(r"<BASE64URL of (\{.*\})>")


def is_generated(text: str) -> bool:
    """Whether this is a random message id; ids such as 000…0 were chosen by a test and stay."""
    return ID.fullmatch(text) is not None and len(set(text)) > 1


class SessionBindings(Bindings):
    """The bindings of one session. Each recorded value has one value in the replay, and no two have the same."""

    def __init__(self, session: Session, *, prefix: str | None = None, admin: str = RECORDED_ADMIN) -> None:
        super().__init__()
        self.prefix = fresh_prefix() if prefix is None else prefix
        self.admin = admin
        self.started_ms = int(time.time() * 1000)
        self._times: dict[tuple[str, str], int] = {}
        self._groups = set(session.groups)
        groups = [rf"(?<!\d){re.escape(group)}(?!\d)" for group in session.groups]
        self._any = re.compile("|".join([TOKEN.pattern, USER.pattern, *groups]))

    def user(self, recorded: str) -> str:
        """The id of a recorded user in this replay."""
        return self.admin if recorded == RECORDED_ADMIN else self.prefix + recorded

    def fresh_id(self, recorded: str) -> str:
        """The message id that a client uses in place of a recorded one."""
        if not is_generated(recorded):
            return self.fill_text(recorded)
        if recorded not in self.actual:
            self.bind(recorded, secrets.token_hex(16))
        return self.actual[recorded]

    def bind_time(self, owner: str, field: str, actual: int) -> int:
        """The time of a message: the first one seen, which every later frame must show."""
        return self._times.setdefault((owner, field), actual)

    def bound_time(self, owner: str, field: str) -> int | None:
        """The time that `bind_time` was given first; None if there was none."""
        return self._times.get((owner, field))

    def group_unknown(self, recorded: str) -> bool:
        """Whether this is the id of a group, and no answer has shown its value yet."""
        return recorded in self._groups and recorded not in self.actual

    def fill_text(self, text: str) -> str:
        """A recorded string with everything replaced that is bound so far."""
        whole = self.actual.get(text)
        if whole is not None:
            return whole
        return self.admin if text == RECORDED_ADMIN else self._any.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        text = found[0]
        return self.actual.get(text, self.prefix + text if USER.fullmatch(text) else text)

    def head(self, raw: bytes, host: str) -> bytes:
        """A recorded HTTP head, addressed to `host`."""
        text = self._head_text(raw.decode("latin-1"))
        return re.sub(r"(?m)^Host: [^\r\n]*", f"Host: {host}", text, count=1).encode("latin-1")

    def _head_text(self, text: str) -> str:
        found = _BASE64URL.search(text)
        if found is None:
            return self.fill_text(text)
        inner = base64.urlsafe_b64encode(self.fill_text(found[1]).encode()).rstrip(b"=").decode()
        return self.fill_text(text[: found.start()]) + inner + self.fill_text(text[found.end() :])

    def to_recorded(self) -> Callable[[str], str]:
        """A function that replaces the ids, tokens and users in a text of this replay with the recorded ones."""
        values = {actual: recorded for actual, recorded in self.recorded.items() if actual != recorded}
        if self.admin != RECORDED_ADMIN:
            values[self.admin] = RECORDED_ADMIN
        change = replacer(values)
        return lambda text: change(text).replace(self.prefix, "") if self.prefix else change(text)
