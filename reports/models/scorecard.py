"""`scorecard.json`: how the verifier answered the cases of the catalogue of faults."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

FORMAT: Final = "openim-ssot-verifier/scorecard"


class CaseDocument(BaseModel):
    """One case: V (breach), L (look-alike) or U (unknowable), the invariants that it is about, and what was said if that was wrong.

    `detect_s` is the time in seconds from the planting to the verdict; None if there was nothing to detect.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    letter: Literal["V", "L", "U"]
    depth: str = ""
    checks: tuple[str, ...]
    right: bool
    said: str
    detect_s: float | None


class ScorecardDocument(BaseModel):
    """All cases of one run of the catalogue.

    `false_alarms` and `unexplained` are what was said beside the cases; `not_run` names the cases that could not be planted on this
    machine, with the reason; `traffic` counts the actions of the background load.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["openim-ssot-verifier/scorecard"] = FORMAT
    version: Literal[1] = 1
    command: str
    at: Annotated[datetime, PlainSerializer(lambda at: at.isoformat(timespec="seconds"), return_type=str)]
    seed: int = 0
    cases: tuple[CaseDocument, ...]
    false_alarms: tuple[str, ...]
    unexplained: tuple[str, ...]
    not_run: dict[str, str]
    traffic: dict[str, int] = {}
    took_s: float
    clean: bool = False
    totals: dict[str, dict[str, int]] = {}
