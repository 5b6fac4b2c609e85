"""The recorded WebSocket sessions. `recordings/README.md` describes the format."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from suites.contract.openim.shared.recording_files import DIRECTORY, NEWEST, RECORDINGS, WS_FILE, read_lines
from suites.contract.openim.ws import frames

RECORDING = DIRECTORY / NEWEST / WS_FILE

USER = re.compile(r"(?<![0-9A-Za-z])(?:(?:t1_|k)\d\d[a-d]|knobody)(?![0-9A-Za-z])")
"""A user: "a" of session 10 is k10a (t1_33a in a session that was recorded earlier); knobody is never registered."""
NOBODY = "knobody"


class Source(StrEnum):
    """Whose act a line records. A note is of the recorder."""

    CLIENT = "client"
    SERVER = "server"
    REST = "rest"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One recorded event.

    Attributes:
        raw: a frame's payload after unmasking, or the bytes of an HTTP head and body.
        pause_ms: how long the client did nothing before the line; None where `t_ms` of the lines gives it.
    """

    number: int
    t_ms: int
    source: Source
    conn: str
    kind: str
    encoding: str
    raw: bytes
    decoded: Any
    pause_ms: int | None = None

    @property
    def is_tcp_end(self) -> bool:
        """Whether this is the end of the TCP connection, as opposed to a close frame."""
        return self.kind == "close" and "tcp" in self.decoded

    @cached_property
    def decoded_frame(self) -> dict[str, Any]:
        """A binary frame of the server as `frames.decode_answer` decodes it."""
        return frames.decode_answer(self.encoding, self.raw)

    @property
    def is_push(self) -> bool:
        """Whether this is a push of the server."""
        return self.kind == "binary" and self.source is Source.SERVER and frames.is_push(self.decoded_frame)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One recorded exchange over one or more connections.

    Attributes:
        recording: the recording in the repository that the session is of; "" for another one.
    """

    name: str
    lines: tuple[Line, ...]
    recording: str = ""

    @property
    def number(self) -> str:
        """The two digits that the name begins with."""
        return self.name[:2]

    @property
    def note(self) -> str:
        """What the session is about; "" where the recorder noted nothing."""
        first = self.lines[0]
        return str(first.decoded["note"]) if first.source is Source.NOTE else ""

    @cached_property
    def users(self) -> list[str]:
        """The users that must be registered, sorted."""
        found: set[str] = set()
        for line in self.lines:
            found.update(USER.findall(json.dumps(line.decoded, ensure_ascii=False)))
            if line.kind == "binary" and line.source is Source.CLIENT:
                found.update(USER.findall(frames.request_text(line.encoding, line.raw)))
        return sorted(found - {NOBODY})

    @cached_property
    def groups(self) -> list[str]:
        """The ids of the groups that were created in this session."""
        return [str(group) for line in self.lines if (group := created_group(line.decoded)) is not None]

    @cached_property
    def given_times(self) -> frozenset[int]:
        """The send times that clients set themselves, in Unix ms."""
        sent = (line.decoded.get("data_decoded") for line in self.lines if line.source is Source.CLIENT)
        return frozenset(one["sendTime"] for one in sent if isinstance(one, dict) and "sendTime" in one)

    @cached_property
    def encodings(self) -> dict[str, str]:
        """Connection -> the encoding of its binary frames."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.source is Source.CLIENT and line.kind == "handshake":
                found[line.conn] = frames.encoding_of(line.decoded)
        return found


def created_group(rest: Any) -> str | None:
    """The group id in the answer of a `create_group` line; None for any other line."""
    if not isinstance(rest, dict) or rest.get("path") != "/group/create_group":
        return None
    return group_in(rest.get("response"))


def group_in(answer: Any) -> str | None:
    """The group id in an answer; None if there is none."""
    data = answer.get("data") if isinstance(answer, dict) else None
    info = data.get("groupInfo") if isinstance(data, dict) else None
    group_id = info.get("groupID") if isinstance(info, dict) else None
    return group_id if isinstance(group_id, str) else None


def load(path: Path = RECORDING) -> list[Session]:
    """All sessions, in recorded order."""
    name = path.parent.name
    known = name in RECORDINGS and path.resolve() == DIRECTORY / name / WS_FILE
    return sessions_of(read_lines(path), name if known else "")


def load_of(name: str) -> list[Session]:
    """All sessions of one of the recordings in the repository."""
    return load(DIRECTORY / name / WS_FILE)


def sessions_of(rows: Iterable[dict[str, Any]], recording: str = "") -> list[Session]:
    """The sessions that these lines of a recording make up."""
    sessions: dict[str, list[Line]] = {}
    for row in rows:
        lines = sessions.setdefault(row["session"], [])
        lines.append(_line(len(lines), row))
    return [Session(name=name, lines=tuple(lines), recording=recording) for name, lines in sessions.items()]


def _line(number: int, row: dict[str, Any]) -> Line:
    kind = row["kind"]
    source = {"note": Source.NOTE, "rest": Source.REST}.get(kind)
    if source is None:
        source = Source.SERVER if row["from"] == "server" else Source.CLIENT
    return Line(
        number=number,
        t_ms=row["t_ms"],
        source=source,
        conn=row["conn"] or "",
        kind=kind,
        encoding=row.get("encoding", ""),
        raw=base64.b64decode(row.get("raw_base64", "")),
        decoded=_with_one_token(row["session"], row["decoded"]),
        pause_ms=row.get("pause_ms"),
    )


def _with_one_token(session: str, decoded: Any) -> Any:
    """Session 45 has a symbol for the token of each answer. Its note says that the first two are the identical token."""
    if not session.startswith("45-") or not isinstance(decoded, dict) or "response" not in decoded:
        return decoded
    return json.loads(json.dumps(decoded).replace("<TOKEN issued #104>", "<TOKEN issued #103>"))
