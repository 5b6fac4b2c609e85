"""Comparing two recordings, or live servers recorded on the spot, and telling what a client would notice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from suites.contract.openim import recording
from suites.contract.openim.compare import differences
from suites.contract.openim.record import REST_FILE, WS_FILE, record
from suites.contract.openim.recording import NOT_ASSERTED, Case, Symbols
from suites.contract.openim.server import Server
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.judge import judge
from suites.contract.openim.ws.notes import notes_on
from suites.contract.openim.ws.played import played
from suites.contract.openim.ws.recording import Session

DOUBLE = "double"


class SideError(Exception):
    """A side of the comparison cannot be used; the text says why and what would be right."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    name: str
    cases: list[Case]
    sessions: list[Session]


@dataclass(frozen=True)
class Noticed:
    """One difference: the case or session that shows it, and what a client would notice."""

    where: str
    what: str


async def side(name: str, *, secret: str, admin: str) -> Side:
    """A side by its name: a recording (a file, or a directory with both), `API[,WS]` of a live server, or `double`.

    Raises SideError, and for a server what replaying raises.
    """
    if name == DOUBLE:
        found = await record(None)
        return Side(name, found.cases, found.sessions)
    if name.startswith(("http://", "https://")):
        api, _, ws = name.partition(",")
        found = await record(Server(api=api, ws=ws, secret=secret, admin=admin))
        return Side(name, found.cases, found.sessions)
    return _from_files(Path(name))


def _from_files(path: Path) -> Side:
    files = [one for name in (REST_FILE, WS_FILE) for one in _either(path / name)] if path.is_dir() else [path]
    if not files:
        raise SideError(f"{path} holds neither {REST_FILE} nor {WS_FILE}. Make them with `record --out {path}`.")
    cases: list[Case] = []
    sessions: list[Session] = []
    for file in files:
        try:
            if _holds_sessions(file):
                sessions += ws_recording.load(file)
            else:
                cases += recording.load(file)
        except FileNotFoundError:
            raise SideError(
                f"there is no {file}. Name a recording, a directory of both, a server's URL or `double`."
            ) from None
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise SideError(f"{file} is no recording ({type(error).__name__}: {error}).") from None
    return Side(str(path), cases, sessions)


def _either(path: Path) -> Iterator[Path]:
    plain = path.with_suffix("")
    yield from [one for one in (path, plain) if one.exists()][:1]


def _holds_sessions(file: Path) -> bool:
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8") as lines:
        first = json.loads(next(iter(lines), "{}"))
    return "session" in first


def compare(old: Side, new: Side) -> list[Noticed]:
    """What a client of `old` would notice at `new`."""
    found = list(_rest(old.cases, new.cases)) if old.cases and new.cases else []
    if old.sessions and new.sessions:
        found += _sessions(old.sessions, new.sessions)
    return found


def unseen(old: Side, new: Side) -> list[str]:
    """What could not be compared, because one side alone has it."""
    lacking = [("REST", old.cases, new.cases), ("WebSocket", old.sessions, new.sessions)]
    return [
        f"{kind}: {(new if one else old).name} has no recording of it"
        for kind, one, other in lacking
        if bool(one) != bool(other)
    ]


def _rest(old: Iterable[Case], new: Iterable[Case]) -> Iterator[Noticed]:
    theirs = {case.case: case for case in new if case.flow not in NOT_ASSERTED}
    spelled = Symbols(secret="", admin="imAdmin", now_s=0, prefix="{P}").fill
    for case in old:
        if case.flow in NOT_ASSERTED:
            continue
        other = theirs.pop(case.case, None)
        where = f"{case.case} ({case.path})"
        if other is None:
            yield Noticed(where, "is not recorded in the other one")
            continue
        if case.status != other.status:
            yield Noticed(where, f"HTTP {other.status}, was {case.status}")
        volatile, unordered = {*case.volatile, *other.volatile}, {*case.unordered, *other.unordered}
        one, two = spelled(case.response), spelled(other.response)
        for text in differences(one, two, volatile=volatile, unordered=unordered):
            yield Noticed(where, _of_before(text))
    for name, case in theirs.items():
        yield Noticed(f"{name} ({case.path})", "is new")


def _sessions(old: Sequence[Session], new: Sequence[Session]) -> Iterator[Noticed]:
    theirs = {session.name: session for session in new}
    for session in old:
        other = theirs.pop(session.name, None)
        if other is None:
            yield Noticed(session.name, "is not recorded in the other one")
            continue
        for outcome in judge(played(session, other), notes_on(session.name)):
            for text in outcome.differences:
                yield Noticed(f"{session.name}, {outcome.case}", _of_before(text))
    for name in theirs:
        yield Noticed(name, "is new")


def _of_before(text: str) -> str:
    """What is told of a server, told of the newer of two recordings."""
    return text.replace("was not recorded", "is new").replace("recorded ", "was ")
