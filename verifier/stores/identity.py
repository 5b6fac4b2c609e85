"""The virtual column `openim_user_id` of relation `users`, computed by the profile's identity rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.profile.identity import Identity
from verifier.stores.protocols import OrderedSource, Source

OPENIM_USER_ID = "openim_user_id"


def with_openim_id(inner: Source, identity: Identity) -> Source:
    """`inner` with column `openim_user_id`, computed from its column `user_id`; ordered if `inner` is."""
    if isinstance(inner, OrderedSource):
        return OrderedIdentitySource(inner, identity)
    return IdentitySource(inner, identity)


class IdentitySource:
    """A source of users with the virtual column `openim_user_id`."""

    def __init__(self, inner: Source, identity: Identity) -> None:
        self._inner = inner
        self._identity = identity
        self.label = inner.label
        self.key = inner.key

    @property
    def queries(self) -> tuple[str, ...]:
        """The inner source's queries."""
        return self._inner.queries

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """The inner source's chunks, with the column added."""
        async for chunk in self._inner.chunks():
            yield [self._with_openim_id(row) for row in chunk]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """Look-up by any column; the virtual one is mapped back to `user_id` first."""
        if column == OPENIM_USER_ID:
            column, values = "user_id", [back for value in values if (back := self._identity.from_openim(str(value)))]
        return [self._with_openim_id(row) for row in await self._inner.lookup(column, values)]

    def _with_openim_id(self, row: Row) -> Row:
        return {**row, OPENIM_USER_ID: self._identity.to_openim(row["user_id"])}


class OrderedIdentitySource(IdentitySource):
    """The same over an ordered source; the virtual column does not change the order."""

    def __init__(self, inner: OrderedSource, identity: Identity) -> None:
        super().__init__(inner, identity)
        self._ordered = inner

    @property
    def position(self) -> str | None:
        """The inner source's position."""
        return self._ordered.position

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """The inner source's chunks, with the column added."""
        async for chunk in self._ordered.chunks(after):
            yield [self._with_openim_id(row) for row in chunk]
