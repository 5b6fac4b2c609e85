"""Recording anew: the same cases and sessions against any live server, in the same format, with symbols for secrets."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suites.contract.openim import recording, replay
from suites.contract.openim.recording import Case, Symbols
from suites.contract.openim.server import Server
from suites.contract.openim.tokens import hidden
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.perform import Performed
from suites.contract.openim.ws.recorder import rows
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.replay import AT_ONCE, opener, play

REST_FILE, WS_FILE = "rest.jsonl.gz", "ws.jsonl.gz"


@dataclass(frozen=True)
class Recorded:
    """REST cases and sessions as one server showed them. No sessions: it has no WebSocket, or was not asked."""

    cases: list[Case]
    lines: list[dict[str, Any]]

    @property
    def sessions(self) -> list[Session]:
        """The lines as sessions."""
        return ws_recording.sessions_of(self.lines)

    def write(self, directory: Path) -> None:
        """Write both into a directory, as they are read again. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / REST_FILE, [asdict(case) for case in self.cases])
        if self.lines:
            _write(directory / WS_FILE, self.lines)


async def record(server: Server | None) -> Recorded:
    """Record a server, None is the double. Raises what replaying raises."""
    cases = await record_rest(server, recording.load())
    with_gateway = server is None or bool(server.ws)
    return Recorded(cases, await record_ws(server, ws_recording.load()) if with_gateway else [])


def _write(path: Path, lines: Iterable[Any]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(text.encode("utf-8", "surrogatepass"))


async def record_rest(server: Server | None, cases: list[Case]) -> list[Case]:
    """Each asserted case with the answer that this server gives."""
    found: dict[str, Case] = {}
    for flow in recording.flows(cases):
        replayed = await replay.replay_flow(server, flow, cases)
        back = replayed.symbols.back()
        for one in replayed.outcomes:
            response = _back(one.case.response, one.answer, back, replayed.symbols)
            values = {**asdict(one.case), "status": one.status, "response": response}
            found[one.case.case] = Case(**values)
    return [found[case.case] for case in cases if case.case in found]


def _back(recorded: Any, answer: Any, back: Callable[[str], str], symbols: Symbols) -> Any:
    """An answer in the terms of the recording: symbols, and the forms in which long or encoded values are written."""
    if isinstance(recorded, dict) and len(recorded) == 1:
        ((kind, detail),) = recorded.items()
        if kind == "$base64_json" and isinstance(answer, str):
            return {kind: back(base64.b64decode(answer).decode(errors="replace"))}
        if kind == "$truncated_list" and isinstance(answer, list):
            first, last = len(detail["first"]), len(detail["last"])
            ends = {"first": answer[:first], "last": answer[len(answer) - last :]}
            return {kind: {"length": len(answer), **{name: _plain(end, back) for name, end in ends.items()}}}
    if isinstance(recorded, dict) and isinstance(answer, dict):
        return {back(key): _back(recorded.get(back(key)), one, back, symbols) for key, one in answer.items()}
    if isinstance(recorded, list) and isinstance(answer, list):
        padded = [*recorded, *[None] * len(answer)]
        return [_back(padded[index], one, back, symbols) for index, one in enumerate(answer)]
    if isinstance(recorded, str) and isinstance(answer, str) and symbols.fill(recorded) == answer:
        return recorded
    return _plain(answer, back)


def _plain(answer: Any, back: Callable[[str], str]) -> Any:
    if isinstance(answer, str):
        return hidden(back(answer))
    if isinstance(answer, list):
        return [_plain(one, back) for one in answer]
    if isinstance(answer, dict):
        return {back(key): _plain(one, back) for key, one in answer.items()}
    return answer


async def record_ws(server: Server | None, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """All lines of the sessions as this server played them, session after session."""
    gate = asyncio.Semaphore(AT_ONCE)
    open_target = opener(server)

    async def one(session: Session) -> Performed:
        async with gate:
            return await play(session, open_target)

    return [row for performed in await asyncio.gather(*map(one, sessions)) for row in rows(performed)]
