"""Columns that are computed: the end of a record from its lifetime, the OpenIM id of a user by the identity rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from tests.verifier.proofs.world import Counted, Table
from verifier.model.query import Rows, Where
from verifier.model.values import FOREVER, Unreadable
from verifier.profile import parse_profile
from verifier.profile.identity import Identity
from verifier.profile.relations import Relation
from verifier.stores.derived import with_expiry, without_expiry
from verifier.stores.errors import Missing, PartialAnswer
from verifier.stores.identity import with_openim_id
from verifier.stores.pool import Stores
from verifier.stores.protocols import Accountable

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY_S = 86_400.0
PLATFORM_ID = UUID("0b5e7b6e-3f0a-4d57-9c3e-0a5f8c1d2e3f")


def test_a_condition_on_the_end_is_one_on_the_beginning() -> None:
    """The store knows `created_at` alone."""
    rows = Rows("sessions", ("user_id", "expires_at"), (Where("expires_at", ">", MOMENT), Where("user_id", "=", "u")))
    asked = without_expiry(rows, DAY_S)
    assert asked.columns == ("user_id", "created_at")
    assert asked.where == (Where("created_at", ">", MOMENT - timedelta(days=1)), Where("user_id", "=", "u"))


@pytest.mark.parametrize(
    ("created_at", "ends"),
    [
        (MOMENT, MOMENT + timedelta(days=1)),
        (None, None),
        (FOREVER, FOREVER),
        (Unreadable("x", "why"), Unreadable("x", "why")),
    ],
)
async def test_the_end_follows_from_the_beginning(created_at: Any, ends: Any) -> None:
    """A beginning that is not known, or cannot be read, gives such an end."""
    inner = Table([{"id": 1, "created_at": created_at}])
    source = with_expiry(inner, DAY_S)
    assert [row["expires_at"] async for chunk in source.chunks() for row in chunk] == [ends]
    assert [row["expires_at"] for row in await source.lookup("id", [1])] == [ends]


async def test_a_derived_source_accounts_as_its_inner_one() -> None:
    """Counts and hidden records are not lost behind the computed column."""
    source = with_expiry(Counted([{"id": 1, "created_at": MOMENT}]), DAY_S)
    assert isinstance(source, Accountable)
    assert (await source.completeness()).counted == 1
    plain = with_openim_id(Table([{"user_id": "a"}], key=("user_id",)), Identity())
    assert isinstance(plain, Accountable)
    assert (await plain.completeness()).counted is None


async def test_silence_about_a_platform_id_is_silence_about_the_openim_id() -> None:
    """The values that were not answered are those that were asked for."""
    inner = Table([{"user_id": "a"}], key=("user_id",), unanswered=frozenset({"b"}))
    source = with_openim_id(inner, Identity(kind="prefix", prefix="p_"))
    with pytest.raises(PartialAnswer) as raised:
        await source.lookup("openim_user_id", ["p_a", "p_b"])
    assert raised.value.rows == [{"user_id": "a", "openim_user_id": "p_a"}]
    assert raised.value.unanswered == ["p_b"]


@pytest.mark.parametrize(
    ("stored", "asked", "found"),
    [
        (str(PLATFORM_ID), PLATFORM_ID.hex, True),
        (str(PLATFORM_ID).upper(), PLATFORM_ID.hex.upper(), True),
        (PLATFORM_ID.hex, PLATFORM_ID.hex, True),
        (str(PLATFORM_ID), PLATFORM_ID.hex.upper(), False),
        ("plain", "plain", True),
    ],
)
async def test_an_openim_id_leads_back_to_its_user_alone(stored: str, asked: str, found: bool) -> None:
    """A store of UUIDs finds capitals too; for OpenIM they are another id."""
    inner = Table(
        [{"user_id": stored}], key=("user_id",), finds=lambda ours, wanted: str(ours).lower() == str(wanted).lower()
    )
    source = with_openim_id(inner, Identity(kind="strip_dashes"))
    assert bool(await source.lookup("openim_user_id", [asked])) is found


async def test_a_user_without_an_id_has_no_openim_id() -> None:
    """NULL does not become the text `None`."""
    source = with_openim_id(Table([{"user_id": None}], key=("user_id",)), Identity())
    assert [row["openim_user_id"] async for chunk in source.chunks() for row in chunk] == [None]


def sessions(**more: Any) -> dict[str, Any]:
    """The sessions, without a column that says when they end."""
    columns = {"id": "id", "user_id": "user_id", "created_at": {"column": "at", "type": "timestamp"}}
    return {"role": "user_db", "table": "public.sessions", "key": "id", "columns": columns, **more}


async def test_a_relation_that_does_not_say_when_its_records_end_is_an_error() -> None:
    """Neither "all are live" nor "none is" would be true."""
    text = 'stack = "s"\nphase = "baseline"\n[roles.user_db]\nurl = "postgresql://127.0.0.1:1/x"\n'
    profile = parse_profile(text).model_copy(update={"relations": {"sessions": Relation.model_validate(sessions())}})
    with pytest.raises(Missing, match="lifetime_s"):
        await Stores(profile).source(Rows("sessions", ("user_id",), (Where("expires_at", ">", MOMENT),)))
    assert not profile.has("sessions", "expires_at")
    ends = profile.model_copy(update={"relations": {"sessions": Relation.model_validate(sessions(lifetime_s=DAY_S))}})
    assert ends.has("sessions", "expires_at")


def test_a_lifetime_needs_a_beginning() -> None:
    """And it would contradict a column that says when records end."""
    with pytest.raises(ValidationError, match="lifetime_s needs a column created_at"):
        Relation.model_validate(sessions(lifetime_s=DAY_S, columns={"id": "id"}))
    with pytest.raises(ValidationError, match="no column expires_at"):
        Relation.model_validate(sessions(lifetime_s=DAY_S, columns=sessions()["columns"] | {"expires_at": "until"}))


def test_ends_never_come_by_default() -> None:
    """NULL in `expires_at` means that the record does not end, unless the profile says otherwise."""
    for given, expected in (
        ("until", "never"),
        ({"column": "until"}, "never"),
        ({"column": "until", "empty_means": "expired"}, "expired"),
    ):
        relation = Relation.model_validate(
            sessions(columns=sessions()["columns"] | {"expires_at": given, "other": "o"})
        )
        assert relation.columns["expires_at"].empty_means == expected
        assert relation.columns["other"].empty_means is None
