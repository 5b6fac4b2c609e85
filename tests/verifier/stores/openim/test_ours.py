"""Which records of a shared OpenIM are this platform's, by the beginning of their ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from verifier.model.invariant import Row
from verifier.profile.roles import OpenIMRole
from verifier.stores.openim.ours import Ownership, OwnRecords
from verifier.stores.protocols import Accountable, Completeness, OrderedSource

pytestmark = pytest.mark.anyio
ROLE = {"api_url": "http://openim", "admin_token": "t"}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("si_shop_1_shop_2", True),
        ("si_other_1_other_2", False),
        ("si_abc_1_shop_2", True),
        ("sg_shop_g1", True),
        ("sg_other_g1", False),
        ("sn_imAdmin_shop_1", True),
        ("sn_imAdmin_other_1", False),
        ("n_shop_1_shop_2", True),
        ("n_shop_g1", True),
        ("n_other_g1", False),
        ("something", True),
    ],
)
def test_conversations(name: str, ours: bool) -> None:
    """A conversation is ours if a member or its group is; what is not understood is judged."""
    ownership = Ownership.of(OpenIMRole.model_validate({**ROLE, "id_prefix": "shop_"}))
    assert ownership.has_conversation(name) is ours
    assert ownership.has({"conversation_id": name}) is ours
    assert ownership.has({"doc_id": f"{name}:0", "slot": 1}) is ours
    assert ownership.has({"place": f"{name}:17"}) is ours


def test_groups_and_other_records() -> None:
    """Groups may begin differently, or not be told apart at all."""
    apart = Ownership.of(OpenIMRole.model_validate({**ROLE, "id_prefix": "shop_", "group_id_prefix": "sg"}))
    assert [apart.has({"group_id": name}) for name in ("sg1", "shop_1", "other")] == [True, False, False]
    assert apart.has_conversation("sg_sg1")
    all_groups = Ownership.of(OpenIMRole.model_validate({**ROLE, "id_prefix": "shop_", "group_id_prefix": ""}))
    assert all_groups.has({"group_id": "4711"})
    assert all_groups.has({"record": "x"})


def test_without_a_prefix_everything_is_ours() -> None:
    """The sources are not wrapped then."""
    assert not Ownership.of(None)
    assert not Ownership.of(OpenIMRole.model_validate(ROLE))
    assert Ownership().has_conversation("si_a_b")


class _Records:
    label = "records"
    key: tuple[str, ...] = ("conversation_id",)
    queries: tuple[str, ...] = ("db.find()",)
    position: str | None = "there"

    def __init__(self, counted: int | None) -> None:
        self.counted = counted

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        yield [{"conversation_id": "sg_shop_1"}, {"conversation_id": "sg_other_1"}]
        yield [{"conversation_id": "sg_other_2"}]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        return [{"conversation_id": value} for value in values]

    async def completeness(self) -> Completeness:
        return Completeness(counted=self.counted, hidden=("h",), unseen=("u",))


async def test_what_is_left_out_is_counted() -> None:
    """The count of the source is corrected, and the others are in the coverage. A look-up finds anybody's records."""
    source = OwnRecords(_Records(3), Ownership("shop_", "shop_").has)
    assert isinstance(source, OrderedSource)
    assert isinstance(source, Accountable)
    assert [row async for chunk in source.chunks() for row in chunk] == [{"conversation_id": "sg_shop_1"}]
    known = await source.completeness()
    assert (known.counted, known.hidden) == (1, ("h",))
    assert known.unseen == ("u", "2 records of other applications, whose ids begin differently")
    assert await source.lookup("conversation_id", ["sg_other_9"])
    assert (source.label, source.queries, source.position) == ("records", ("db.find()",), "there")


async def test_a_resumed_reading_has_no_count() -> None:
    """The number of the others is known of its second part only."""
    source = OwnRecords(_Records(3), Ownership("shop_", "shop_").has)
    assert [row async for chunk in source.chunks("there") for row in chunk]
    assert (await source.completeness()).counted is None
