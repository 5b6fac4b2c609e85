"""The virtual column `openim_user_id` is added to rows and mapped back for look-ups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from verifier.model.invariant import Row
from verifier.profile.identity import Identity
from verifier.stores.identity import with_openim_id
from verifier.stores.protocols import OrderedSource

pytestmark = pytest.mark.anyio

RULE = Identity(kind="prefix", prefix="p_")


class _Users:
    """Two users; `looked_up` has the arguments of each look-up."""

    label = "users"
    key: tuple[str, ...] = ("user_id",)
    queries: tuple[str, ...] = ("SELECT",)

    def __init__(self) -> None:
        self.looked_up: list[tuple[str, list[Any]]] = []

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        yield [{"user_id": "a"}, {"user_id": "b"}]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        self.looked_up.append((column, list(values)))
        return [{"user_id": "a"}]


class _OrderedUsers(_Users):
    """The same with an order."""

    position: str | None = "b"

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        yield [{"user_id": f"after {after}"}]


async def test_rows_have_the_virtual_column() -> None:
    """It is computed from `user_id`, in chunks and look-ups."""
    source = with_openim_id(_Users(), RULE)
    assert [row["openim_user_id"] async for chunk in source.chunks() for row in chunk] == ["p_a", "p_b"]
    assert await source.lookup("user_id", ["a"]) == [{"user_id": "a", "openim_user_id": "p_a"}]
    assert (source.label, source.key, source.queries) == ("users", ("user_id",), ("SELECT",))


async def test_a_look_up_by_the_virtual_column_is_mapped_back() -> None:
    """An id that the identity rule cannot have made matches nothing."""
    inner = _Users()
    await with_openim_id(inner, RULE).lookup("openim_user_id", ["p_a", "foreign"])
    assert inner.looked_up == [("user_id", ["a"])]


async def test_an_ordered_source_stays_ordered() -> None:
    """Reading resumes after a position of the inner source."""
    source = with_openim_id(_OrderedUsers(), RULE)
    assert isinstance(source, OrderedSource)
    assert not isinstance(with_openim_id(_Users(), RULE), OrderedSource)
    assert source.position == "b"
    assert [row async for chunk in source.chunks("a") for row in chunk] == [
        {"user_id": "after a", "openim_user_id": "p_after a"}
    ]
