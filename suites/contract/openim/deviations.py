"""The declared differences between the double and the recorded server, strictly: one that no longer occurs is told."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "deviations.toml"


@dataclass(frozen=True)
class Deviation:
    """One declared difference. `flow` is a REST flow or a session; `what` is part of what the difference says."""

    flow: str
    what: str
    reason: str


@dataclass(frozen=True)
class Deviations:
    """Some of them. `strict`: each must occur."""

    entries: tuple[Deviation, ...] = ()
    strict: bool = True

    def reason(self, flow: str, told: str) -> str | None:
        """Why a difference is accepted, None when it is not."""
        return next((one.reason for one in self.entries if one.flow == flow and one.what in told), None)

    def healed(self, flow: str, told: Iterable[str]) -> list[Deviation]:
        """The entries of a flow that match none of the differences found."""
        if not self.strict:
            return []
        found = list(told)
        return [one for one in self.entries if one.flow == flow and not any(one.what in text for text in found)]


@cache
def declared(path: Path = FILE) -> Deviations:
    """What the file lists: `rest` entries name flow and case, `ws` entries session and what."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    rest = [Deviation(one["flow"], one["case"], one["reason"]) for one in document.get("rest", ())]
    ws = [Deviation(one["session"], one["what"], one["reason"]) for one in document.get("ws", ())]
    return Deviations((*rest, *ws))
