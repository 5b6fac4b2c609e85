"""The recorded REST cases. `recordings/README.md` describes the format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites.contract.openim.shared.recording_files import DIRECTORY, NEWEST, REST_FILE, read_lines

RECORDING = DIRECTORY / NEWEST / REST_FILE
NOT_ASSERTED = {"msg-unstored": "contains a race between the queue and the database of the recorded server"}
"""Flows that are not replayed, with the reason."""


@dataclass(frozen=True)
class Case:
    """One recorded request and its answer."""

    case: str
    flow: str
    method: str
    path: str
    headers: dict[str, str]
    request: Any
    status: int
    response: Any
    depends_on: list[str]
    volatile: list[str] = field(default_factory=list)
    unordered: list[str] = field(default_factory=list)
    settle_ms: int = 0
    note: str = ""

    @property
    def issued(self) -> str:
        """The symbol of the token in the answer; "" if there is none."""
        data = self.response.get("data") if isinstance(self.response, dict) else None
        token = data.get("token") if isinstance(data, dict) else None
        return token if isinstance(token, str) else ""


def load(path: Path = RECORDING) -> list[Case]:
    """All cases in the order in which they were recorded."""
    return [Case(**line) for line in read_lines(path)]


def load_of(name: str) -> list[Case]:
    """All cases of one of the recordings in the repository."""
    return load(DIRECTORY / name / REST_FILE)


def flows(cases: Iterable[Case]) -> list[str]:
    """The flows that are asserted."""
    return [flow for flow in dict.fromkeys(case.flow for case in cases) if flow not in NOT_ASSERTED]


def closure(cases: list[Case], flow: str) -> list[Case]:
    """The cases of a flow and those of other flows that they depend on, in recorded order."""
    by_name = {case.case: case for case in cases}
    wanted = {case.case for case in cases if case.flow == flow}
    queue = list(wanted)
    while queue:
        for name in by_name[queue.pop()].depends_on:
            if name not in wanted:
                wanted.add(name)
                queue.append(name)
    return [case for case in cases if case.case in wanted]
