"""Records of a batch are given to the values that they belong to, by the store's own equality."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.verifier.proofs.world import Table
from verifier.proofs.lookups import Found, Home, look_up

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


Finds = Callable[[Any, Any], bool]
BINARY: Finds = lambda stored, wanted: str(stored) == str(wanted)  # noqa: E731
PADDED: Finds = lambda stored, wanted: str(stored).rstrip() == str(wanted).rstrip()  # noqa: E731
CITEXT: Finds = lambda stored, wanted: str(stored).casefold() == str(wanted).casefold()  # noqa: E731


def number(stored: Any, wanted: Any) -> bool:
    """As a column of numbers compares."""
    try:
        return Decimal(str(stored)) == Decimal(str(wanted))
    except ArithmeticError:
        return False


def home(*stored: Any, finds: Finds = BINARY, **more: Any) -> Home:
    """A home with these values in column `id`."""
    hides = bool(more.pop("hides", False))
    return Home(Table([{"id": value} for value in stored], finds=finds, **more), "id", hides=hides)


async def found(wanted: list[Any], *homes: Home) -> list[list[Any]]:
    """The partners' ids."""
    return [[row["id"] for row in item.rows] for item in await look_up(wanted, homes)]


async def test_padding_of_the_store_does_not_separate_partners() -> None:
    """`char(n)` returns its values with blanks."""
    padded = home("abc   ", finds=PADDED)
    assert await found(["abc", "x"], padded) == [["abc   "], []]
    assert isinstance(padded.source, Table)
    assert len(padded.source.lookups) == 1


async def test_case_separates_partners_unless_the_store_says_otherwise() -> None:
    """Both spellings are asked for; a store that ignores case has one record for both, another one for one of them."""
    assert await found(["Bob", "bob", "BOB"], home("bob", finds=CITEXT)) == [["bob"], ["bob"], ["bob"]]
    assert await found(["Bob", "bob", "BOB"], home("bob")) == [[], ["bob"], []]
    assert await found(["Bob", "bob"], home("bob", "Bob")) == [["Bob"], ["bob"]]


async def test_spellings_of_a_number_are_partners_where_the_store_keeps_numbers() -> None:
    """And `007` is not the partner of 7."""
    assert await found(["1.0", 2, "3"], home(Decimal("1.00"), Decimal("2.00"), 3, finds=number)) == [
        [Decimal("1.00")],
        [Decimal("2.00")],
        [3],
    ]
    (item,) = await look_up(["007"], [home(7, finds=number)])
    assert (item.rows, item.unanswered) == ((), "")


async def test_an_equality_that_nobody_knows_makes_a_value_unknown() -> None:
    """A collation without accents: the store says equal, the texts differ."""
    blind: Finds = lambda stored, wanted: str(stored).replace("é", "e") == str(wanted).replace("é", "e")  # noqa: E731
    one, other = await look_up(["réné", "x"], [home("rene", finds=blind)])
    assert one.rows == ()
    assert "treats values as equal" in one.unanswered
    assert other == Found()


async def test_none_has_no_partner() -> None:
    """NULL equals nothing, not even a record with NULL or with the text None."""
    assert await found([None, "None"], home(None, "None")) == [[], ["None"]]


async def test_an_array_is_found_by_its_items() -> None:
    """As MongoDB finds documents."""
    table = home(["a", "b"], finds=lambda stored, wanted: wanted in stored)
    assert await found(["a", "b", "c"], table) == [[["a", "b"]], [["a", "b"]], []]


async def test_a_home_that_hides_records_leaves_it_open_whether_there_is_one() -> None:
    """Only where it shows none."""
    one, other = await look_up(["a", "b"], [home("a", hides=True)])
    assert (one.perhaps_hidden, other.perhaps_hidden) == (False, True)


async def test_bytes_that_are_not_utf_8_do_not_stop_the_others() -> None:
    """A store of text cannot be asked for them."""

    class Text(Table):
        async def lookup(self, column: str, values: Any) -> Any:
            for value in values:
                str(value).encode()
            return await super().lookup(column, values)

    one, other = await look_up(["a", "\udcff"], [Home(Text([{"id": "a"}]), "id")])
    assert one.rows == ({"id": "a"},)
    assert "not UTF-8" in other.unanswered


async def test_batches_do_not_mix() -> None:
    """More values than one look-up takes."""
    wanted = [f"u{index}" for index in range(1200)]
    rows = await found(wanted, home(*wanted[::2]))
    assert rows == [[name] if index % 2 == 0 else [] for index, name in enumerate(wanted)]
