"""How far a server agrees with the recordings: one row for each REST flow and each WebSocket session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reports.models.contract import ContractDocument, DifferenceDocument, HealedDocument, RowDocument
from suites.contract.openim import recording, replay
from suites.contract.openim.deviations import Deviation, Deviations, declared
from suites.contract.openim.recording import Case
from suites.contract.openim.server import Server
from suites.contract.openim.tokens import hidden
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.notes import named, notes_on
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.replay import opener, replay_all

REST, WS = "REST", "WebSocket"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One case that did not go as recorded; `reason` says why that is accepted, "" when it is not."""

    told: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A flow or session: how many cases, and those that differ. `healed` are deviations that no longer occur."""

    kind: str
    name: str
    cases: int
    differences: tuple[Difference, ...] = ()
    healed: tuple[Deviation, ...] = ()

    @property
    def deviating(self) -> int:
        """Cases that differ as declared."""
        return sum(bool(one.reason) for one in self.differences)

    @property
    def wrong(self) -> int:
        """Cases that differ otherwise."""
        return len(self.differences) - self.deviating

    @property
    def equal(self) -> int:
        """Cases that went as recorded."""
        return self.cases - len(self.differences)

    @property
    def agrees(self) -> bool:
        """Whether all is equal or declared, and the declarations are true."""
        return not self.wrong and not self.healed

    def document(self) -> RowDocument:
        """For a JSON file."""
        return RowDocument(
            kind=self.kind,
            name=self.name,
            cases=self.cases,
            equal=self.equal,
            deviating=self.deviating,
            wrong=self.wrong,
            differences=tuple(DifferenceDocument(told=one.told, reason=one.reason) for one in self.differences),
            healed=tuple(HealedDocument(what=one.what, reason=one.reason) for one in self.healed),
        )


@dataclass(frozen=True, kw_only=True)
class Parity:
    """All rows of one server."""

    server: str
    rows: tuple[Row, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def agrees(self) -> bool:
        """Whether every row agrees."""
        return all(row.agrees for row in self.rows)

    def total(self) -> Row:
        """The rows together."""
        return Row(
            kind="",
            name="all",
            cases=sum(row.cases for row in self.rows),
            differences=tuple(one for row in self.rows for one in row.differences),
            healed=tuple(one for row in self.rows for one in row.healed),
        )

    def document(self) -> dict[str, Any]:
        """As JSON, for reports and pipelines."""
        return ContractDocument(
            server=self.server,
            started_at=self.started_at,
            ended_at=self.ended_at,
            rows=tuple(row.document() for row in self.rows),
        ).model_dump(mode="json")


def row_of(kind: str, name: str, told: Iterable[str], deviations: Deviations) -> Row:
    """A row from what was told of each case: "" where it went as recorded. Tokens in it are hidden."""
    everything = [hidden(one) for one in told]
    differing = [one for one in everything if one]
    return Row(
        kind=kind,
        name=name,
        cases=len(everything),
        differences=tuple(Difference(told=one, reason=deviations.reason(name, one) or "") for one in differing),
        healed=tuple(deviations.healed(name, differing)),
    )


def deviations_for(server: Server | None) -> Deviations:
    """The list is about the double. A live server is excused for what the recorded one suffered by chance, no more."""
    if server is None:
        return declared()
    chances = [
        Deviation(session, one.what, one.reason) for session in named() for one in notes_on(session).not_on_others
    ]
    return Deviations(tuple(chances), strict=False)


async def rest_row(server: Server | None, flow: str, cases: list[Case]) -> Row:
    """Replay a REST flow."""
    replayed = await replay.replay_flow(server, flow, cases)
    told = [
        f"{one.case.case} ({one.case.path}): {'; '.join(one.differences)}" if one.differences else ""
        for one in replayed.outcomes
    ]
    return row_of(REST, flow, told, deviations_for(server))


async def ws_rows(server: Server | None, sessions: Sequence[Session]) -> list[Row]:
    """Replay sessions, several at a time."""
    found = await replay_all(sessions, opener(server))
    return [
        row_of(WS, name, (one.told if one.differences else "" for one in outcomes), deviations_for(server))
        for name, outcomes in found.items()
    ]


async def parity(
    server: Server | None, cases: list[Case] | None = None, sessions: Sequence[Session] | None = None
) -> Parity:
    """Replay everything; against a live server that names no WebSocket, REST alone."""
    cases = recording.load() if cases is None else cases
    sessions = ws_recording.load() if sessions is None else sessions
    started_at = datetime.now(UTC)
    rows = [await rest_row(server, flow, cases) for flow in recording.flows(cases)]
    if server is None or server.ws:
        rows += await ws_rows(server, sessions)
    name = "double" if server is None else server.api
    return Parity(server=name, rows=tuple(rows), started_at=started_at)


def run(server: Server | None) -> Parity:
    """`parity` for who is not asynchronous."""
    return asyncio.run(parity(server))
