"""Comparing two recordings, or two servers that are recorded for it: what would a client notice?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from suites.contract.openim.record import record
from suites.contract.openim.rest import recording as rest_recording
from suites.contract.openim.rest.bindings import RestBindings
from suites.contract.openim.rest.comparison import differences
from suites.contract.openim.rest.recording import NOT_ASSERTED, Case
from suites.contract.openim.server import Server
from suites.contract.openim.shared.bindings import RECORDED_ADMIN
from suites.contract.openim.shared.recording_files import REST_FILE, WS_FILE, read_lines
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.judge import judge
from suites.contract.openim.ws.recorded_result import result_from_recording
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.session_settings import settings_of

DOUBLE = "double"


class SideError(Exception):
    """A side of the comparison cannot be used. The text says why, and what to give instead."""


@dataclass(frozen=True)
class Side:
    """One of the two sides. A list is empty where the side has no recording of that kind."""

    name: str
    cases: list[Case]
    sessions: list[Session]


@dataclass(frozen=True)
class Difference:
    """One difference: the case or session in which it shows, and its sentence."""

    where: str
    what: str


async def side(name: str, *, secret: str, admin: str) -> Side:
    """A side by its name: a recording (a file, or a directory with both), `API[,WS]` of a live server, or `double`.

    Raises SideError, and for a server what recording it raises.
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
        raise SideError(f"{path} contains neither {REST_FILE} nor {WS_FILE}. Create them with `record --out {path}`.")
    cases: list[Case] = []
    sessions: list[Session] = []
    for file in files:
        try:
            if _holds_sessions(file):
                sessions += ws_recording.load(file)
            else:
                cases += rest_recording.load(file)
        except FileNotFoundError:
            raise SideError(
                f"there is no file {file}. Give a recording, a directory with recordings, the URL of a server, or `double`."
            ) from None
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise SideError(f"{file} is not a recording ({type(error).__name__}: {error}).") from None
    return Side(str(path), cases, sessions)


def _either(path: Path) -> Iterator[Path]:
    plain = path.with_suffix("")
    yield from [one for one in (path, plain) if one.exists()][:1]


def _holds_sessions(file: Path) -> bool:
    return "session" in next(read_lines(file), {})


def compare(old: Side, new: Side) -> list[Difference]:
    """What a client of `old` would notice with `new`."""
    found = list(_rest(old.cases, new.cases)) if old.cases and new.cases else []
    if old.sessions and new.sessions:
        found += _sessions(old.sessions, new.sessions)
    return found


def not_compared(old: Side, new: Side) -> list[str]:
    """What is not compared, because only one side has a recording of it."""
    lacking = [("REST", old.cases, new.cases), ("WebSocket", old.sessions, new.sessions)]
    return [
        f"{kind}: {(new if one else old).name} has no recording of it"
        for kind, one, other in lacking
        if bool(one) != bool(other)
    ]


def _rest(old: Iterable[Case], new: Iterable[Case]) -> Iterator[Difference]:
    theirs = {case.case: case for case in new if case.flow not in NOT_ASSERTED}
    written_out = RestBindings(secret="", admin=RECORDED_ADMIN, now_s=0, prefix="{P}").fill
    for case in old:
        if case.flow in NOT_ASSERTED:
            continue
        other = theirs.pop(case.case, None)
        where = f"{case.case} ({case.path})"
        if other is None:
            yield Difference(where, "is missing in the newer recording")
            continue
        if case.status != other.status:
            yield Difference(where, f"HTTP {other.status}, was {case.status}")
        volatile, unordered = {*case.volatile, *other.volatile}, {*case.unordered, *other.unordered}
        one, two = written_out(case.response), written_out(other.response)
        for text in differences(one, two, volatile=volatile, unordered=unordered):
            yield Difference(where, _with_was(text))
    for name, case in theirs.items():
        yield Difference(f"{name} ({case.path})", "is new")


def _sessions(old: Sequence[Session], new: Sequence[Session]) -> Iterator[Difference]:
    theirs = {session.name: session for session in new}
    for session in old:
        other = theirs.pop(session.name, None)
        if other is None:
            yield Difference(session.name, "is missing in the newer recording")
            continue
        for outcome in judge(result_from_recording(session, other), settings_of(session.name)):
            for text in outcome.differences:
                yield Difference(f"{session.name}, {outcome.case}", _with_was(text))
    for name in theirs:
        yield Difference(name, "is new")


def _with_was(text: str) -> str:
    """The sentence about a server, changed to one about the newer of two recordings."""
    return re.sub(r"([,;]) recorded ", r"\1 was ", text.replace("was not recorded", "is new"))
