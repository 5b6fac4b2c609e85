"""`reconcile`: do two keyed relations agree?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Judgement
from verifier.profile.models import Profile
from verifier.proofs.conclude import walk
from verifier.proofs.context import Context
from verifier.proofs.protocol import Description, describe_reading
from verifier.proofs.records import Partners, RecordProof
from verifier.stores.pool import Stores

Pairing = Callable[[Row, Sequence[Row]], Problem | None]


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class Reconcile(RecordProof):
    """Read `subject`, look up each record's partners in `against`, and let `judge` compare them.

    `judge` takes the record and its partners, and returns what is wrong with them, or None.

    `on` names the two columns that are matched: the subject's, and that of `against`. `convert` maps a subject's value to
    the form of the other side, or to None if it cannot have a partner. `or_against` adds further relations, each with its
    column, in which a partner may be. `also` adds partners that match another column of the subject, with values as they
    are: (subject's column, relation, its column).

    To compare in both directions, a check returns two proofs. `RecordProof` describes the other arguments.
    """

    against: Rows
    on: tuple[str, str]
    judge: Pairing
    convert: Callable[[Any], Any] = _same
    or_against: tuple[tuple[Rows, str], ...] = ()
    also: tuple[tuple[str, Rows, str], ...] = ()
    technique: ClassVar[str] = (
        "reconcile: every record is looked up on the other side; a difference is confirmed in a second pass"
    )

    @property
    def partners(self) -> Partners:
        """Where partners are looked up."""
        homes = ((self.against, self.on[1]), *self.or_against)
        return Partners(column=self.on[0], convert=self.convert, homes=homes, also=self.also)

    def problem_of(self, row: Row, partners: Sequence[Row]) -> Problem | None:
        """What is wrong with a record and its partners."""
        return self.judge(row, partners)

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        return await walk(self, context)

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The queries of both sides."""
        return await describe_reading(self.relations_read, self.unseen, profile, stores)


def must_exist(summary: str, *, expected: str, next_step: str, actual: str = "not found") -> Pairing:
    """A judge that requires at least one partner. The texts may name columns of the subject as `{column}`."""

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None
        return Problem(
            summary=summary.format_map(row),
            expected=expected.format_map(row),
            actual=actual,
            next_step=next_step.format_map(row),
        )

    return judge
