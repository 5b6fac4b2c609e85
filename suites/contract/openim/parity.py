"""How far a server agrees with the recordings: one row for each REST flow and each WebSocket session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reports.models.contract import ContractDocument, DifferenceDocument, HealedDocument, RowDocument
from suites.contract.openim.deviations import Deviation, Deviations, declared
from suites.contract.openim.rest import recording as rest_recording
from suites.contract.openim.rest.recording import Case
from suites.contract.openim.rest.replay import replay_flow
from suites.contract.openim.server import Server
from suites.contract.openim.shared.forged_tokens import hide_tokens
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.replay import judge_all, opener
from suites.contract.openim.ws.session_settings import sessions_with_settings, settings_of

REST, WS, SDK = "REST", "WebSocket", "SDK"


@dataclass(frozen=True, kw_only=True)
class CaseDifference:
    """One case that is not as recorded; `reason` says why that is accepted, "" if it is not."""

    text: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One flow or session: the number of its cases, and those that differ.

    Attributes:
        obsolete: declared deviations that no longer occur.
    """

    kind: str
    name: str
    cases: int
    differences: tuple[CaseDifference, ...] = ()
    obsolete: tuple[Deviation, ...] = ()

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
        """Cases that are as recorded."""
        return self.cases - len(self.differences)

    @property
    def agrees(self) -> bool:
        """Whether all cases are as recorded or as declared, and no declaration is obsolete."""
        return not self.wrong and not self.obsolete

    def explanation(self) -> str:
        """Why the row does not agree: each undeclared difference and each obsolete declaration, on a line; else ""."""
        lines = [one.text for one in self.differences if not one.reason]
        lines += [
            f"no longer occurs, remove it from deviations.toml: {one.what!r} ({one.reason})" for one in self.obsolete
        ]
        return "\n".join(lines)

    def document(self) -> RowDocument:
        """As it is written to `contract.json`."""
        return RowDocument(
            kind=self.kind,
            name=self.name,
            cases=self.cases,
            equal=self.equal,
            deviating=self.deviating,
            wrong=self.wrong,
            differences=tuple(DifferenceDocument(told=one.text, reason=one.reason) for one in self.differences),
            healed=tuple(HealedDocument(what=one.what, reason=one.reason) for one in self.obsolete),
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
        """All rows together."""
        return Row(
            kind="",
            name="all",
            cases=sum(row.cases for row in self.rows),
            differences=tuple(one for row in self.rows for one in row.differences),
            obsolete=tuple(one for row in self.rows for one in row.obsolete),
        )

    def document(self) -> dict[str, Any]:
        """As JSON, for reports and pipelines."""
        return ContractDocument(
            server=self.server,
            started_at=self.started_at,
            ended_at=self.ended_at,
            rows=tuple(row.document() for row in self.rows),
        ).model_dump(mode="json")


def row_of(
    kind: str, name: str, texts: Iterable[str], deviations: Deviations, accepted: Mapping[str, str] | None = None
) -> Row:
    """A row. `texts` has the differences of each case, "" where there are none; tokens in them are hidden.

    Args:
        accepted: text -> reason, of differences for which another recording has what the server answered.
    """
    everything = [hide_tokens(one) for one in texts]
    differing = [one for one in everything if one]
    reasons = {hide_tokens(one): why for one, why in (accepted or {}).items()}
    return Row(
        kind=kind,
        name=name,
        cases=len(everything),
        differences=tuple(
            CaseDifference(text=one, reason=reasons.get(one) or deviations.reason(name, one) or "") for one in differing
        ),
        obsolete=tuple(deviations.obsolete(name, differing)),
    )


def deviations_for(server: Server | None) -> Deviations:
    """The accepted deviations: of the double the declared ones, of a live server the `live_differences` of its sessions.

    The latter are differences that depend on speed, so they need not occur.
    """
    if server is None:
        return declared()
    accepted = [
        Deviation(session, one.what, one.reason, one.also)
        for session in sessions_with_settings()
        for one in settings_of(session).live_differences
    ]
    return Deviations(tuple(accepted), strict=False)


async def rest_row(server: Server | None, flow: str, cases: list[Case]) -> Row:
    """Replay a REST flow; None is the double."""
    replayed = await replay_flow(server, flow, cases)
    texts = [
        f"{one.case.case} ({one.case.path}): {'; '.join(one.differences)}" if one.differences else ""
        for one in replayed.outcomes
    ]
    accepted = {text: one.accepted for text, one in zip(texts, replayed.outcomes, strict=True) if one.accepted}
    return row_of(REST, flow, texts, deviations_for(server), accepted)


async def ws_rows(server: Server | None, sessions: Sequence[Session]) -> list[Row]:
    """Replay sessions, several at a time; None is the double."""
    deviations = deviations_for(server)
    return [
        row_of(WS, name, (one.text if one.differences else "" for one in found.outcomes), deviations, found.accepted)
        for name, found in (await judge_all(sessions, opener(server))).items()
    ]


async def parity(
    server: Server | None, cases: list[Case] | None = None, sessions: Sequence[Session] | None = None
) -> Parity:
    """Replay everything. Without a WebSocket address, REST alone is replayed to a live server."""
    cases = rest_recording.load() if cases is None else cases
    sessions = ws_recording.load() if sessions is None else sessions
    started_at = datetime.now(UTC)
    rows = [await rest_row(server, flow, cases) for flow in rest_recording.flows(cases)]
    if server is None or server.ws:
        rows += await ws_rows(server, sessions)
    name = "double" if server is None else server.api
    return Parity(server=name, rows=tuple(rows), started_at=started_at)
