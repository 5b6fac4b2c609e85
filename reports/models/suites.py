"""`suites.json`: how the tests of one pytest session ended."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = "openim-ssot-verifier/suites"


class Ending(StrEnum):
    """How a test ended. `error`: it could not be judged, because its set-up or tear-down failed."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class CaseDocument(BaseModel):
    """One test. `about` is the first line of its file's docstring, `message` why it did not pass."""

    model_config = ConfigDict(frozen=True)

    node: str
    about: str
    ending: Ending
    message: str
    started_at: datetime
    duration_s: float

    @property
    def file(self) -> str:
        """The file in the node id, without `suites/`."""
        return self.node.partition("::")[0].removeprefix("suites/")


class SuitesDocument(BaseModel):
    """One session of tests."""

    model_config = ConfigDict(frozen=True)

    format: Literal["openim-ssot-verifier/suites"] = FORMAT
    version: Literal[1] = 1
    stack: str
    phase: str
    started_at: datetime
    ended_at: datetime
    interrupted: bool = Field(description="the session ended before all of its tests had run")
    cases: tuple[CaseDocument, ...]
