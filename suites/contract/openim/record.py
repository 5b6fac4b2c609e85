"""Recording a server: the same cases and sessions in the same format, with symbols in place of secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suites.contract.openim.rest import recording as rest_recording
from suites.contract.openim.rest.recorder import record_rest
from suites.contract.openim.rest.recording import Case
from suites.contract.openim.server import Server
from suites.contract.openim.shared.recording_files import REST_FILE, WS_FILE, write_lines
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.recorder import lines_of
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.replay import opener, play_all


@dataclass(frozen=True)
class Recording:
    """The REST cases and WebSocket sessions of one server. There are no lines if the server has no WebSocket."""

    cases: list[Case]
    lines: list[dict[str, Any]]

    @property
    def sessions(self) -> list[Session]:
        """The lines as sessions."""
        return ws_recording.sessions_of(self.lines)

    def write(self, directory: Path) -> None:
        """Write both files into a directory, which is created if needed. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        write_lines(directory / REST_FILE, [asdict(case) for case in self.cases])
        if self.lines:
            write_lines(directory / WS_FILE, self.lines)


async def record(server: Server | None) -> Recording:
    """Record a server; None is the double. Raises what replaying raises."""
    cases = await record_rest(server, rest_recording.load())
    with_gateway = server is None or bool(server.ws)
    return Recording(cases, await record_ws(server, ws_recording.load()) if with_gateway else [])


async def record_ws(server: Server | None, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """The lines of the sessions as this server plays them, session after session."""
    return [line for result in await play_all(sessions, opener(server)) for line in lines_of(result)]
