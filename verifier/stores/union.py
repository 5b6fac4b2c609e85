"""A relation with several homes, read as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.stores.errors import PartialAnswer
from verifier.stores.protocols import Accountable, Completeness, Source, Surveyable


class UnionSource:
    """The records of all homes, one home after the other. It has no position, because the homes have no common order.

    `repeats_keys`: one key may be in several homes, so that records are not counted by their keys.
    """

    repeats_keys = True

    def __init__(self, homes: Sequence[Source]) -> None:
        self._homes = homes
        self.key = homes[0].key
        self.label = " and ".join(home.label for home in homes)

    @property
    def queries(self) -> tuple[str, ...]:
        """The statements of all homes."""
        return tuple(query for home in self._homes for query in home.queries)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """The records of the first home, then those of the next."""
        for home in self._homes:
            async for chunk in home.chunks():
                yield chunk

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records of all homes. Raises PartialAnswer with those that were found where one home did not answer for all values."""
        rows: list[Row] = []
        silent: list[PartialAnswer] = []
        for home in self._homes:
            try:
                rows += await home.lookup(column, values)
            except PartialAnswer as part:
                rows += part.rows
                silent.append(part)
        if silent:
            unanswered = list(dict.fromkeys(value for part in silent for value in part.unanswered))
            raise PartialAnswer(str(silent[0]), rows, unanswered)
        return rows

    async def survey(self) -> None:
        """Survey the homes whose completeness needs it."""
        for home in self._homes:
            if isinstance(home, Surveyable):
                await home.survey()

    async def completeness(self) -> Completeness:
        """The sums of all homes; a count only where each home can count."""
        parts = [await home.completeness() if isinstance(home, Accountable) else Completeness() for home in self._homes]
        counts = [part.counted for part in parts]
        return Completeness(
            counted=sum(count for count in counts if count is not None) if None not in counts else None,
            hidden=tuple(text for part in parts for text in part.hidden),
            unseen=tuple(dict.fromkeys(text for part in parts for text in part.unseen)),
        )
