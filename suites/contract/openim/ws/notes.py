"""What replaying a session needs to know beyond its lines (`sessions.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "sessions.toml"


@dataclass(frozen=True, kw_only=True)
class MayCome:
    """Pushes that may come or not: on these connections, in this conversation, of these seqs or content types."""

    conns: tuple[str, ...]
    conversation: str
    seqs: tuple[int, ...] = ()
    content_types: tuple[int, ...] = ()
    reason: str

    def covers(self, conn: str, conversation: str, message: dict[str, Any]) -> bool:
        """Whether this push is one of them; `conversation` and message in recorded terms."""
        if conn not in self.conns or conversation != self.conversation:
            return False
        if self.content_types:
            return message.get("contentType") in self.content_types
        return message.get("seq") in self.seqs


@dataclass(frozen=True, kw_only=True)
class Chance:
    """Something that a live server shows only if it happens to suffer what the recorded one did."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Notes:
    """The notes on one session. `double` are arguments of `target.double`, under which it plays the recorded server."""

    heartbeat: bool = False
    tokens_first: bool = False
    interleaved: bool = False
    lossy: bool = False
    may_come: tuple[MayCome, ...] = ()
    not_on_others: tuple[Chance, ...] = ()
    double: Mapping[str, Any] = field(default_factory=dict)


@cache
def _all() -> dict[str, Notes]:
    found = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _notes(entry) for name, entry in found.items()}


def _notes(entry: dict[str, Any]) -> Notes:
    may_come = tuple(
        MayCome(
            conns=tuple(one["conns"]),
            conversation=one["conversation"],
            seqs=tuple(one.get("seqs", ())),
            content_types=tuple(one.get("content_types", ())),
            reason=one["reason"],
        )
        for one in entry.get("may_come", ())
    )
    flags = {key: entry[key] for key in ("heartbeat", "tokens_first", "interleaved", "lossy") if key in entry}
    chances = tuple(Chance(what=one["what"], reason=one["reason"]) for one in entry.get("not_on_others", ()))
    return Notes(may_come=may_come, not_on_others=chances, double=entry.get("double", {}), **flags)


def notes_on(session: str) -> Notes:
    """The notes on a session, by its full name; most have none."""
    return _all().get(session, Notes())


def named() -> list[str]:
    """The sessions that have notes."""
    return list(_all())
