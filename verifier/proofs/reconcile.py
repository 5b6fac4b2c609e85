"""`reconcile`: do two keyed relations agree?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Judgement
from verifier.proofs.clocks import clocks_of, require_same_time
from verifier.proofs.context import Context
from verifier.proofs.walk import walk

Pairing = Callable[[Row, Sequence[Row]], Problem | None]


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class Reconcile:
    """Walk `subject`, look up each record's partners in `against`, and let `judge` say what is wrong with the pair.

    `on` names the columns that meet (subject's, against's); `convert` maps a subject value to the other side's form, or to
    None where it can have no partner. `or_against` names further homes (with their column) where a partner may live. `applies` leaves out records that the invariant does not speak of; `unit` is what
    the coverage counts; `second_look_s` is how long a suspect waits for its second look, where the settle window is too
    short (a cache that may answer for so long). `clocks`: whose times are compared (roles), where that cannot be told from
    what is read. `also` brings further partners that meet on another column of the subject: (subject's column, relation,
    its column), values as they are. Both directions are two proofs of one check.
    """

    subject: Rows
    against: Rows
    on: tuple[str, str]
    judge: Pairing
    convert: Callable[[Any], Any] = _same
    or_against: tuple[tuple[Rows, str], ...] = ()
    also: tuple[tuple[str, Rows, str], ...] = ()
    applies: Callable[[Row], bool] | None = None
    unit: str = "rows"
    statement: str = ""
    sample: int | None = None
    second_look_s: float | None = None
    clocks: tuple[str, ...] | None = None
    unseen: tuple[str, ...] = ()
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        await require_same_time(context, clocks_of(self, context.profile))
        return await walk(self, context)


def must_exist(summary: str, *, expected: str, next_step: str, actual: str = "not there") -> Pairing:
    """A judge: there is at least one partner. `summary` and the rest may name subject columns as `{column}`."""

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
