"""The declared differences between the double and the recorded server (`deviations.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "deviations.toml"


@dataclass(frozen=True)
class Deviation:
    """One declared difference. `flow` is a REST flow or a session; `what` and `also` are parts of the sentence."""

    flow: str
    what: str
    reason: str
    also: str = ""

    def covers(self, text: str) -> bool:
        """Whether this is the sentence of the declared difference."""
        return self.what in text and self.also in text


@dataclass(frozen=True)
class Deviations:
    """A list of declared differences. With `strict` each of them must occur."""

    entries: tuple[Deviation, ...] = ()
    strict: bool = True

    def reason(self, flow: str, text: str) -> str | None:
        """The reason why a difference is accepted; None if it is not."""
        return next((one.reason for one in self.entries if one.flow == flow and one.covers(text)), None)

    def obsolete(self, flow: str, texts: Iterable[str]) -> list[Deviation]:
        """The entries of a flow that match none of its differences."""
        if not self.strict:
            return []
        found = list(texts)
        return [one for one in self.entries if one.flow == flow and not any(map(one.covers, found))]


@cache
def declared(path: Path = FILE) -> Deviations:
    """The entries of the file: tables `rest` with flow and case, tables `ws` with session and what."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    rest = [Deviation(one["flow"], one["case"], one["reason"]) for one in document.get("rest", ())]
    ws = [Deviation(one["session"], one["what"], one["reason"]) for one in document.get("ws", ())]
    return Deviations((*rest, *ws))
