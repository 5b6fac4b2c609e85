"""The settings for replaying a session that its lines do not give (`sessions.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "sessions.toml"
_FLAGS = ("heartbeat", "tokens_first", "interleaved", "lossy")


@dataclass(frozen=True, kw_only=True)
class OptionalPush:
    """Pushes that a server may send or not: on these connections, in this conversation, with these seqs or types."""

    conns: tuple[str, ...]
    conversation: str
    seqs: tuple[int, ...] = ()
    content_types: tuple[int, ...] = ()
    reason: str

    def covers(self, conn: str, conversation: str, message: dict[str, Any]) -> bool:
        """Whether this push is one of them. `conversation` is the recorded id."""
        if conn not in self.conns or conversation != self.conversation:
            return False
        if self.content_types:
            return message.get("contentType") in self.content_types
        return message.get("seq") in self.seqs


@dataclass(frozen=True, kw_only=True)
class AcceptedDifference:
    """A difference that may be accepted: `what` and `also` are parts of its sentence."""

    what: str
    reason: str
    also: str = ""


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """The settings of one session; `sessions.toml` describes them."""

    heartbeat: bool = False
    tokens_first: bool = False
    interleaved: bool = False
    lossy: bool = False
    optional_pushes: tuple[OptionalPush, ...] = ()
    alternatives: tuple[AcceptedDifference, ...] = ()
    live_differences: tuple[AcceptedDifference, ...] = ()
    double: Mapping[str, Any] = field(default_factory=dict)
    double_of: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def double_for(self, recording: str) -> Mapping[str, Any]:
        """The arguments for the double that behaves as the server of a recording did."""
        return self.double_of.get(recording, self.double)

    def alternative(self, text: str) -> str:
        """Why a server may show what another recording shows in place of this difference; "" if it may not."""
        return next((one.reason for one in self.alternatives if one.what in text and one.also in text), "")


@cache
def _all() -> dict[str, SessionSettings]:
    found = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _settings(entry) for name, entry in found.items()}


def _settings(entry: dict[str, Any]) -> SessionSettings:
    optional_pushes = tuple(
        OptionalPush(
            conns=tuple(one["conns"]),
            conversation=one["conversation"],
            seqs=tuple(one.get("seqs", ())),
            content_types=tuple(one.get("content_types", ())),
            reason=one["reason"],
        )
        for one in entry.get("optional_pushes", ())
    )
    return SessionSettings(
        optional_pushes=optional_pushes,
        double=entry.get("double", {}),
        double_of=entry.get("double_of", {}),
        alternatives=_differences(entry, "alternatives"),
        live_differences=_differences(entry, "live_differences"),
        **{name: entry[name] for name in _FLAGS if name in entry},
    )


def _differences(entry: dict[str, Any], name: str) -> tuple[AcceptedDifference, ...]:
    return tuple(AcceptedDifference(**one) for one in entry.get(name, ()))


def settings_of(session: str) -> SessionSettings:
    """The settings of a session, by its full name. Most sessions have none."""
    return _all().get(session, SessionSettings())


def sessions_with_settings() -> list[str]:
    """The full names of the sessions that have settings."""
    return list(_all())
