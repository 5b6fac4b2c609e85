"""What counts in the exit code, and what the next phase demands: waivers, accepted limitations, `[gate]`."""

from __future__ import annotations

import re
from datetime import date

from pydantic import Field, field_validator

from verifier.profile.section import Section


class Waiver(Section):
    """`[[waivers]]`: a known breach that is accepted until a date.

    When a waiver has expired or is exceeded, the check is violated again. A waiver that covers nothing is a warning. A
    check may have several.
    """

    check: str = Field(description="ID of the invariant", examples=["MSG-01"])
    owner: str = Field(description="Who answers for the breach", examples=["chat team"])
    reason: str = Field(description="Why it is accepted; shown in the report", examples=["import job runs until May"])
    expires: date = Field(description="Last day on which the waiver covers anything", examples=[date(2027, 5, 31)])
    max_findings: int | None = Field(
        default=None,
        ge=1,
        description="With more findings than this, the check is violated again. Any number if not set",
        examples=[10],
    )
    fingerprints: tuple[str, ...] = Field(
        default=(),
        description="Cover only these findings: their fingerprints, or the first 8 characters or more. All findings if "
        "not set",
        examples=[["3f9ac2d14b7e0a61"]],
    )

    @field_validator("fingerprints")
    @classmethod
    def _fingerprints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[0-9a-f]{8,16}", name):
                raise ValueError(
                    f"{name!r} is not a fingerprint: 8 to 16 characters 0-9 a-f, as reports and `verifier history` show them"
                )
        return value


class Accepted(Section):
    """`[[accept_inconclusive]]`: a known limitation. The check stays in the report and does not count in the exit code."""

    check: str = Field(description="ID of the invariant", examples=["TOK-02"])
    reason: str = Field(
        description="Why it cannot be known here; shown in the report", examples=["no tap queue allowed"]
    )
    expires: date = Field(description="Last day on which it is accepted", examples=[date(2027, 5, 31)])


class Gate(Section):
    """`[gate]`: what `verifier can-advance` demands before the next phase."""

    greens: int = Field(
        default=3,
        ge=1,
        description="Number of complete runs in a row in which every invariant holds and none is inconclusive",
        examples=[5],
    )
    hours: float = Field(
        default=24,
        ge=0,
        description="Time from the start of the first of these runs to the end of the last",
        examples=[72],
    )
    observe_hours: float = Field(
        default=1,
        ge=0,
        description="Total time of listening in these runs, for each check that can see events only while it listens",
        examples=[4],
    )
    waiver_days: float = Field(
        default=7, ge=0, description="No waiver that was needed may expire within this time", examples=[14]
    )
    max_age_hours: float = Field(default=26, gt=0, description="How old the newest run may be", examples=[2])
