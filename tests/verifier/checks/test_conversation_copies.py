"""Copies of frozen tables and collections: new ones are reported, older ones only if they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from verifier.checks.conversation_copies import no_other_table
from verifier.checks.messages import no_other_collection
from verifier.checks.user_service import column_fingerprint, schema_unchanged
from verifier.profile.models import Profile
from verifier.proofs import Inventory, Proof
from verifier.stores.protocols import StoreObject

CONVERSATIONS = ("id", "type", "user_a", "user_b", "last_message_at")
MEMBERS = ("group_id", "user_id", "role", "joined_at")


def _relation(table: str, key: str, **columns: str) -> dict[str, Any]:
    return {"role": "chat_db", "table": table, "key": key, "columns": columns}


@pytest.fixture
def profile() -> Profile:
    """A platform whose groups are in a table `teams`."""
    return Profile.model_validate(
        {
            "stack": "test",
            "phase": "frozen",
            "since": {"frozen": "2026-01-01T00:00:00Z"},
            "history": "memory:",
            "roles": {
                "user_db": {"url": "postgresql://reader@nowhere/users"},
                "chat_db": {"url": "postgresql://reader@nowhere/chat"},
                "chat_mongo": {"url": "mongodb://nowhere", "database": "chat"},
            },
            "scope": {"kind": "all"},
            "relations": {
                "users": {"role": "user_db", "table": "public.users", "key": "user_id", "columns": {"user_id": "id"}},
                "conversations": _relation("public.conversations", "conversation_id", conversation_id="id"),
                "conversation_sequences": _relation(
                    "public.sequences", "conversation_id", conversation_id="conversation_id"
                ),
                "chat_groups": _relation("public.teams", "group_id", group_id="id", name="name", owner="owner_id"),
                "group_members": [
                    _relation("public.team_people", "group_id", group_id="group_id"),
                    _relation("public.team_people_old", "group_id", group_id="group_id"),
                ],
                "messages": {
                    "role": "chat_mongo",
                    "collection": "messages",
                    "key": "message_id",
                    "columns": {
                        "message_id": "_id",
                        "conversation_id": "conv",
                        "sender_id": "sender",
                        "content": "body",
                    },
                },
            },
        }
    )


def _table(name: str, columns: tuple[str, ...], *, writes: int = 0, ancestors: Sequence[str] = ()) -> list[StoreObject]:
    return [
        StoreObject(
            kind="column",
            name=f"{name}.{column}",
            attributes={
                "table_name": name,
                "column_name": column,
                "type": "text",
                "relkind": "r",
                "ancestors": ancestors,
                "writes": writes,
            },
        )
        for column in columns
    ]


DECLARED = [
    *_table("public.conversations", CONVERSATIONS, writes=90),
    *_table("public.sequences", ("conversation_id", "last_seq")),
    *_table("public.teams", ("id", "name", "owner_id", "avatar")),
    *_table("public.team_people", MEMBERS),
    *_table("public.team_people_old", MEMBERS),
]


def _only(built: Proof | Sequence[Proof]) -> Inventory:
    proof = built[0] if isinstance(built, Sequence) else built
    assert isinstance(proof, Inventory)
    return proof


def _keys(proof: Inventory, before: list[StoreObject] | None, now: list[StoreObject]) -> list[str | None]:
    approved = None if before is None else frozenset(proof.fingerprint(item) for item in before)
    return [problem.key for problem in proof.judge(now, approved)]


def test_a_table_is_judged_by_the_baseline(profile: Profile) -> None:
    """A new look-alike is a copy. An older one is one if it resembles a frozen table closely and is written."""
    proof = _only(no_other_table(profile))
    copy, drafts = (
        _table("public.threads", CONVERSATIONS),
        _table("public.drafts", ("conversation_id", "last_seq", "text")),
    )
    assert _keys(proof, DECLARED, DECLARED) == []
    assert _keys(proof, DECLARED, DECLARED + copy + drafts) == ["public.threads", "public.drafts"]
    older = DECLARED + copy + drafts
    assert _keys(proof, older, older) == []
    written = (
        DECLARED
        + _table("public.threads", CONVERSATIONS, writes=1)
        + _table("public.drafts", ("conversation_id", "last_seq"), writes=9)
    )
    assert _keys(proof, older, written) == ["public.threads"]
    assert _keys(proof, None, written) == []  # without a baseline the check is inconclusive


def test_names_of_relations_are_those_of_the_profile(profile: Profile) -> None:
    """A second table of groups is found whatever the groups' table is called, and a home is none."""
    proof = _only(no_other_table(profile))
    assert _keys(proof, DECLARED, [*DECLARED, *_table("public.squads", ("id", "name", "owner_id", "avatar"))]) == [
        "public.squads"
    ]
    assert _keys(proof, DECLARED, [*DECLARED, *_table("public.teams_v2", ("id", "payload"))]) == ["public.teams_v2"]


def _collection(
    name: str, count: int, uuid: str = "u1", fields: tuple[str, ...] = ("conv", "sender", "body")
) -> StoreObject:
    return StoreObject(
        kind="collection", name=name, attributes={"type": "collection", "uuid": uuid, "count": count, "fields": fields}
    )


def test_a_collection_is_judged_by_the_baseline(profile: Profile) -> None:
    """One that is older than the baseline is reported if it grows, or was made anew."""
    proof = _only(no_other_collection(profile))
    declared, archive = _collection("chat.messages", 5), _collection("chat.archive", 7)
    assert _keys(proof, [declared], [declared, archive]) == ["chat.archive"]
    assert _keys(proof, [declared, archive], [declared, archive]) == []
    assert _keys(proof, [declared, archive], [declared, _collection("chat.archive", 8)]) == ["chat.archive"]
    assert _keys(proof, [declared, archive], [declared, _collection("chat.archive", 7, "u2")]) == ["chat.archive"]
    assert _keys(proof, None, [declared, archive]) == []


def test_a_new_partition_changes_no_schema(profile: Profile) -> None:
    """Its columns are those of its table; another column is new."""
    proof = _only(schema_unchanged(profile))
    users = _table("public.users", ("id", "name"))
    partition = _table("public.users_2027", ("id", "name"), ancestors=["public.users"])
    assert proof.fingerprint is column_fingerprint
    assert _keys(proof, users, users + partition) == []
    assert _keys(proof, users, users + _table("public.users_2027", ("message",), ancestors=["public.users"])) == [
        "public.users_2027.message"
    ]
