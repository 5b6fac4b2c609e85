"""Sources whose records have one more column, computed from the stored ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows, Where
from verifier.model.values import FOREVER
from verifier.stores.errors import PartialAnswer
from verifier.stores.protocols import Accountable, Completeness, OrderedSource, Source, Surveyable

CREATED_AT, EXPIRES_AT = "created_at", "expires_at"


class Derived:
    """A source over an inner one. Subclasses say how a record is completed, and how a look-up by the new column is asked."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self.label = inner.label
        self.key = inner.key

    def complete(self, row: Row) -> Row:
        """The record with the new column."""
        raise NotImplementedError

    def asked(self, column: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The inner source's column and values for a look-up."""
        return column, values

    def unanswered(self, column: str, values: Sequence[Any]) -> Sequence[Any]:
        """The inner source's values that were not answered, as values of `column`."""
        return values

    @property
    def queries(self) -> tuple[str, ...]:
        """The inner source's queries."""
        return self._inner.queries

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """The inner source's chunks, with the column added."""
        async for chunk in self._inner.chunks():
            yield [self.complete(row) for row in chunk]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """Look-up by any column."""
        name, wanted = self.asked(column, values)
        try:
            return self._found(column, values, await self._inner.lookup(name, wanted))
        except PartialAnswer as partial:
            rows = self._found(column, values, partial.rows)
            raise PartialAnswer(str(partial), rows, self.unanswered(column, partial.unanswered)) from None

    def _found(self, column: str, values: Sequence[Any], rows: Sequence[Row]) -> list[Row]:
        complete, wanted = [self.complete(row) for row in rows], frozenset(map(str, values))
        return [row for row in complete if self.has(row, column, wanted)]

    def has(self, row: Row, column: str, wanted: frozenset[str]) -> bool:
        """Whether a record that the inner source found has one of the values. The inner source knows the stored columns."""
        return True

    async def survey(self) -> None:
        """Survey the inner source, if its completeness needs it."""
        if isinstance(self._inner, Surveyable):
            await self._inner.survey()

    async def completeness(self) -> Completeness:
        """The inner source's; nothing is known where it cannot say."""
        return await self._inner.completeness() if isinstance(self._inner, Accountable) else Completeness()


class Ordered(Derived):
    """The same over an ordered source; the new column does not change the order."""

    def __init__(self, inner: OrderedSource) -> None:
        super().__init__(inner)
        self._ordered = inner

    @property
    def position(self) -> str | None:
        """The inner source's position."""
        return self._ordered.position

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """The inner source's chunks, with the column added."""
        async for chunk in self._ordered.chunks(after):
            yield [self.complete(row) for row in chunk]


def without_expiry(rows: Rows, lifetime_s: float) -> Rows:
    """`rows` for a relation that has no column `expires_at`: conditions on it become conditions on `created_at`."""
    lifetime = timedelta(seconds=lifetime_s)
    columns = dict.fromkeys(CREATED_AT if name == EXPIRES_AT else name for name in rows.columns)
    where = tuple(
        Where(CREATED_AT, item.op, item.value - lifetime if isinstance(item.value, datetime) else item.value)
        if item.column == EXPIRES_AT
        else item
        for item in rows.where
    )
    return replace(rows, columns=tuple(dict.fromkeys((*columns, CREATED_AT))), where=where)


def with_expiry(inner: Source, lifetime_s: float) -> Source:
    """`inner` with column `expires_at`: `lifetime_s` after its column `created_at`."""
    made = _OrderedExpiry(inner) if isinstance(inner, OrderedSource) else _Expiry(inner)
    made.lifetime = timedelta(seconds=lifetime_s)
    return made


class _Expiry(Derived):
    lifetime = timedelta()

    def complete(self, row: Row) -> Row:
        created_at = row[CREATED_AT]
        try:
            ends = created_at + self.lifetime if isinstance(created_at, datetime) else created_at
        except OverflowError:
            ends = FOREVER
        return {**row, EXPIRES_AT: ends}


class _OrderedExpiry(Ordered, _Expiry):
    """The same with an order."""
