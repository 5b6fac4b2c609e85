"""A relation with several homes: it is read as one, and an absence proof watches each home."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.verifier.stores.mongo.world import MongoWorld
from tests.verifier.stores.postgres.world import FLUSH_S, PostgresWorld
from verifier.model.invariant import Phase, Row, Severity
from verifier.model.query import Rows
from verifier.model.verdict import Judgement, Verdict
from verifier.profile.errors import NotMapped
from verifier.profile.models import Profile
from verifier.proofs.absence.proof import Absence
from verifier.proofs.context import Context
from verifier.proofs.scope import Scope
from verifier.stores.errors import PartialAnswer
from verifier.stores.pool import Stores
from verifier.stores.protocols import Completeness
from verifier.stores.union import UnionSource

pytestmark = pytest.mark.anyio

CHANGES = frozenset({"update", "replace", "delete", "drop", "rename", "truncate"})


def _profile(postgres: PostgresWorld, mongo: MongoWorld, **second: Any) -> Profile:
    """Messages in MongoDB, with a part of them in a table."""
    first = {
        "role": "chat_mongo",
        "collection": "messages",
        "key": "message_id",
        "columns": {"message_id": "_id", "conversation_id": "conv"},
    }
    table = {
        "role": "chat_db",
        "table": "public.bodies",
        "key": "message_id",
        "columns": {"message_id": "message_id", "conversation_id": "conversation_id"},
    }
    return Profile.model_validate(
        {
            "stack": "test",
            "phase": "frozen",
            "since": {"frozen": "2026-01-01T00:00:00Z"},
            "history": "memory:",
            "roles": {
                "chat_db": {"url": postgres.grant.verifier_chat_db},
                "chat_mongo": {"url": mongo.grant.verifier, "database": mongo.grant.database},
            },
            "scope": {"kind": "all"},
            "timing": {"settle_s": 0.1, "counter_flush_s": FLUSH_S},
            "relations": {"messages": [first, table | second]},
        }
    )


class _Runs:
    """An absence proof on a real profile, run again and again."""

    def __init__(self, profile: Profile, stores: Stores) -> None:
        self.profile, self.stores = profile, stores
        self.marks: dict[str, Any] = {}
        self.proof = Absence(target="messages", operations=CHANGES, scoped_by=("conversation", "conversation_id"))

    async def run(self, *, baselining: bool = False) -> Judgement:
        """One run, which keeps what it remembers."""
        memory: Any = SimpleNamespace(
            watermark=lambda _check, slot: self.marks.get(slot),
            positions=lambda _slot: [],
            fingerprint=lambda _check, raw_key: raw_key,
        )
        context = Context(
            check_id="MSG-02",
            severity=Severity.HIGH,
            profile=self.profile,
            phase=Phase.FROZEN,
            stores=self.stores,
            scope=Scope(self.profile, Phase.FROZEN, self.stores),
            memory=memory,
            progress=lambda _done, _total, _text: None,
            baselining=baselining,
        )
        judgement = await self.proof.execute(context)
        self.marks |= context.watermarks
        return judgement


BODIES = "CREATE TABLE bodies (message_id text PRIMARY KEY, conversation_id text, body text)"


async def test_each_home_is_watched_and_named(postgres: PostgresWorld, mongo: MongoWorld) -> None:
    """A change of the content in the second home is a finding that names the home."""
    postgres.write(BODIES, "INSERT INTO bodies VALUES ('m1', 'c1', 'hello'), ('m2', 'c1', 'there')")
    mongo.messages.insert_many([{"_id": "m1", "conv": "c1"}, {"_id": "m2", "conv": "c1"}])
    stores = Stores(_profile(postgres, mongo), refuse_writers=False)
    try:
        runs = _Runs(stores.profile, stores)
        await runs.run(baselining=True)
        quiet = await runs.run()
        postgres.write("UPDATE bodies SET body = '' WHERE message_id = 'm2'")
        there = await runs.run()
        await runs.run(baselining=True)
        mongo.messages.update_one({"_id": "m1"}, {"$set": {"text": "x"}})
        here = await runs.run()
        source = await stores.source(Rows("messages", ("conversation_id",)))
        read = [row["message_id"] async for chunk in source.chunks() for row in chunk]
        found = await source.lookup("message_id", ["m1"])
    finally:
        await stores.close()
    assert quiet.verdict is Verdict.HOLDS, quiet.reason
    assert [(item.key, item.evidence["object"]) for item in there.findings] == [("m2", "chat_db: public.bodies")]
    assert [item.key for item in here.findings] == ["m1"]
    assert "chat_mongo" in here.findings[0].evidence["object"]
    assert sorted(read) == ["m1", "m1", "m2", "m2"]
    assert len(found) == 2


async def test_a_select_is_proven_by_the_tables_that_it_reads(postgres: PostgresWorld, mongo: MongoWorld) -> None:
    """Their counters prove silence. When they move, which records were written is unknown; without them, everything is."""
    postgres.write(BODIES, "CREATE TABLE heads (message_id text, conversation_id text)")
    joined = "SELECT message_id, conversation_id FROM heads JOIN bodies USING (message_id, conversation_id)"
    select = {"table": None, "select": joined}
    watching = _profile(postgres, mongo, **select, watches=["public.heads", "public.bodies"])
    mongo.messages.insert_one({"_id": "m1", "conv": "c1"})
    judged: list[Judgement] = []
    for profile in (watching, _profile(postgres, mongo, **select)):
        stores = Stores(profile, refuse_writers=False)
        try:
            runs = _Runs(profile, stores)
            await runs.run(baselining=True)
            judged.append(await runs.run())
            postgres.write(
                "INSERT INTO bodies VALUES ('m3', 'c1', 'x')", "DELETE FROM bodies", "UPDATE bodies SET body = ''"
            )
            judged.append(await runs.run())
        finally:
            await stores.close()
    assert [item.verdict for item in judged] == [Verdict.HOLDS, *[Verdict.INCONCLUSIVE] * 3], judged[0].reason
    assert "Map each table as a home" in judged[1].reason
    assert "`watches` of the relation may name" in judged[2].reason


async def test_a_column_is_mapped_only_if_each_home_has_it(postgres: PostgresWorld, mongo: MongoWorld) -> None:
    """A proof that needs it could not judge the other home."""
    profile = _profile(postgres, mongo, columns={"message_id": "message_id"})
    assert not profile.has("messages", "conversation_id")
    with pytest.raises(NotMapped):
        profile.relation("messages", "conversation_id")
    assert profile.homes("messages") == ("messages@0", "messages@1")
    assert profile.relation("messages@1").table == "public.bodies"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"role": "nowhere"}, "there is no role 'nowhere'"),
        ({"key": "conversation_id"}, "needs the same key"),
        (
            {"homes": [{"role": "chat_db", "table": "x", "key": "message_id", "columns": {"message_id": "id"}}]},
            "not nested",
        ),
        ({"watched": ["role"]}, "watched column 'role' is not among the columns"),
    ],
)
async def test_a_home_that_cannot_be_used_is_refused(
    postgres: PostgresWorld, mongo: MongoWorld, second: dict[str, Any], said: str
) -> None:
    """The error names what is wrong."""
    with pytest.raises(ValueError, match=said):
        _profile(postgres, mongo, **second)


class _Home:
    """A source that answers for some values."""

    key: tuple[str, ...] = ("id",)
    label = "home"
    queries: tuple[str, ...] = ("SELECT 1",)

    def __init__(self, rows: dict[str, Row], silent: frozenset[str] = frozenset(), counted: int | None = 0) -> None:
        self.rows, self.silent, self.counted = rows, silent, counted

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All rows in one chunk."""
        yield list(self.rows.values())

    async def lookup(self, _column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The rows of the values that are answered."""
        found = [self.rows[value] for value in values if value in self.rows]
        if unanswered := [value for value in values if value in self.silent]:
            raise PartialAnswer("half an answer", found, unanswered)
        return found

    async def completeness(self) -> Completeness:
        """What was counted."""
        return Completeness(counted=self.counted, hidden=("policy",) if self.silent else ())


async def test_a_partial_answer_of_one_home_is_partial() -> None:
    """The rows of the other home are kept, and what was not answered is said."""
    union = UnionSource([_Home({"a": {"id": "a"}}, frozenset({"b"})), _Home({"b": {"id": "b"}}, counted=None)])
    with pytest.raises(PartialAnswer) as caught:
        await union.lookup("id", ["a", "b"])
    assert (caught.value.rows, caught.value.unanswered) == ([{"id": "a"}, {"id": "b"}], ["b"])
    about = await union.completeness()
    assert (about.counted, about.hidden) == (None, ("policy",))
