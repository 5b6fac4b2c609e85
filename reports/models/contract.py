"""`contract.json`: how far an OpenIM server agrees with the recordings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

FORMAT: Final = "openim-ssot-verifier/contract"

Moment = Annotated[datetime, PlainSerializer(lambda at: at.isoformat(), return_type=str)]


class DifferenceDocument(BaseModel):
    """One case that is not as recorded. `told` says what differs, `reason` why that is accepted ("" if it is not)."""

    model_config = ConfigDict(frozen=True)

    told: str
    reason: str


class HealedDocument(BaseModel):
    """A declared deviation that no longer occurs."""

    model_config = ConfigDict(frozen=True)

    what: str
    reason: str


class RowDocument(BaseModel):
    """A flow of REST cases or a WebSocket session: its cases, and how many are as recorded, as declared, and neither."""

    model_config = ConfigDict(frozen=True)

    kind: str
    name: str
    cases: int
    equal: int
    deviating: int
    wrong: int
    differences: tuple[DifferenceDocument, ...]
    healed: tuple[HealedDocument, ...]


class ContractDocument(BaseModel):
    """All rows of one server."""

    model_config = ConfigDict(frozen=True)

    format: Literal["openim-ssot-verifier/contract"] = FORMAT
    version: Literal[1] = 1
    server: str
    started_at: Moment
    ended_at: Moment
    rows: tuple[RowDocument, ...]
