"""`rule`: does every record of one relation satisfy a predicate?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from verifier.model.invariant import Problem, Row
from verifier.model.verdict import Judgement
from verifier.profile.models import Profile
from verifier.proofs.conclude import walk
from verifier.proofs.context import Context
from verifier.proofs.protocol import Description, describe_reading
from verifier.proofs.records import RecordProof
from verifier.stores.pool import Stores


@dataclass(frozen=True, kw_only=True)
class Rule(RecordProof):
    """Read `subject`; `judge` returns what is wrong with a record, or None. `RecordProof` describes the other arguments."""

    judge: Callable[[Row], Problem | None]
    technique: ClassVar[str] = "rule: every record must satisfy it; a breach is confirmed in a second pass"

    def problem_of(self, row: Row, partners: Sequence[Row]) -> Problem | None:
        """What is wrong with a record."""
        return self.judge(row)

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        return await walk(self, context)

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The queries of the relation."""
        return await describe_reading(self.relations_read, self.unseen, profile, stores)
