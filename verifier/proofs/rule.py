"""`rule`: does every record of one relation satisfy a predicate?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Judgement
from verifier.proofs.clocks import clocks_of, require_same_time
from verifier.proofs.context import Context
from verifier.proofs.walk import walk


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Walk `subject`; `judge` says what is wrong with a record, or nothing.

    `second_look_s`: how long a suspect waits for its second look, where the settle window is too short (a cache).
    `empty_holds`: an empty relation is the wanted state (leftovers that must drain), not a question that does not arise.
    `clocks`: whose times are compared (roles), where that cannot be told from what is read.
    """

    subject: Rows
    judge: Callable[[Row], Problem | None]
    applies: Callable[[Row], bool] | None = None
    unit: str = "rows"
    statement: str = ""
    sample: int | None = None
    second_look_s: float | None = None
    clocks: tuple[str, ...] | None = None
    empty_holds: bool = False
    unseen: tuple[str, ...] = ()
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out."""
        await require_same_time(context, clocks_of(self, context.profile))
        return await walk(self, context)
