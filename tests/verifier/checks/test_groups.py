"""GRP-02 on extensions in either store, approved, misnamed or without group state."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verifier.checks.memory import Listed, found, judge, profile_of, verdicts
from verifier.model.verdict import Verdict
from verifier.profile import Profile
from verifier.stores.protocols import StoreObject

pytestmark = pytest.mark.anyio


def column(name: str) -> StoreObject:
    """A column of the extension's table."""
    about = {"table_name": name.rpartition(".")[0], "column_name": name.rpartition(".")[2]}
    return StoreObject(kind="column", name=name, attributes=about)


def with_documents(inventory: str = "") -> Profile:
    """An extension with a column of JSON."""
    profile = profile_of(inventory, group_extensions="chat_db/table/talk.notes: group_id extra")
    relation = profile.relations["group_extensions"]
    columns = {**relation.columns, "extra": relation.columns["extra"].model_copy(update={"type": "json"})}
    return profile.model_copy(
        update={"relations": {"group_extensions": relation.model_copy(update={"columns": columns})}}
    )


async def test_state_in_a_collection_is_found() -> None:
    """Fields of documents are what columns are of tables."""
    profile = profile_of(
        '[inventory]\ncollections = ["chat.notes.title"]', group_extensions="chat_mongo/collection/notes: _id colour"
    )
    there = StoreObject(kind="collection", name="chat.notes", attributes={"fields": ["_id", "avatar", "title"]})
    other = StoreObject(kind="collection", name="chat.rooms", attributes={"fields": ["owner"]})
    judged = await judge("GRP-02", profile, {"chat_mongo": Listed([there, other])})
    assert found(judged) == ["the group extension stores group state: field avatar"]


async def test_a_table_that_is_not_seen_is_not_green() -> None:
    """Without its schema, or without a privilege, no column is listed."""
    profile = profile_of(group_extensions="chat_db/table/notes: group_id")
    judged = await judge("GRP-02", profile, {"chat_db": Listed([column("talk.notes.name")])})
    assert verdicts(judged) == [Verdict.INCONCLUSIVE]
    assert "public.notes" in judged[0].reason


@pytest.mark.parametrize(
    ("inventory", "extra", "field"),
    [
        ("", {"colour": "red", "more": [{"members": [1]}]}, "members"),
        ("", {"colour": "red"}, ""),
        ('[inventory]\ntables = ["talk.notes.members"]', {"members": 3}, ""),
    ],
    ids=["nested", "none", "approved"],
)
async def test_state_in_documents_is_found_unless_approved(inventory: str, extra: Any, field: str) -> None:
    """At any depth; the setting that the advice names is read."""
    stores = {"chat_db": Listed([column("talk.notes.group_id")])}
    judged = await judge(
        "GRP-02", with_documents(inventory), stores, group_extensions=[{"group_id": 1, "extra": extra}]
    )
    assert found(judged) == ([f"the group extension stores group state: JSON field {field}"] if field else [])
