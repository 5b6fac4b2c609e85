"""MSG-03, CNV-06, USR-08 and KEEP-02 wherever a relation is: a table or a collection, under any name."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.verifier.checks.memory import Listed, Memory, found, profile_of
from tests.verifier.proofs.world import Table
from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.model.finding import Finding
from verifier.model.verdict import Verdict
from verifier.profile import Profile
from verifier.stores.protocols import StoreObject

pytestmark = pytest.mark.anyio


def table(name: str, *columns: str, kind: str = "r", ancestors: Sequence[str] = ()) -> list[StoreObject]:
    """The columns of a table."""
    about = {"table_name": name, "relkind": kind, "ancestors": ancestors, "type": "text"}
    return [
        StoreObject(kind="column", name=f"{name}.{column}", attributes={**about, "column_name": column})
        for column in columns
    ]


def collection(name: str, *fields: str) -> StoreObject:
    """A collection."""
    return StoreObject(kind="collection", name=name, attributes={"fields": list(fields), "count": 1})


async def grown(check: str, profile: Profile, stores: dict[str, Listed]) -> list[Finding]:
    """The findings of a check if everything that is listed came after the baseline."""
    world, there = Memory(profile, {}, stores), {role: store.objects for role, store in stores.items()}
    findings: list[Finding] = []
    for proof in load_checks()[check].proofs(profile):
        for store in stores.values():
            store.objects = []
        await world.run(proof, baselining=True)
        for role, store in stores.items():
            store.objects = there[role]
        findings += (await world.run(proof)).findings
    return findings


async def test_messages_in_postgresql_have_no_second_table() -> None:
    """By name or by columns; a partition, a declared table and one of other data are none."""
    profile = profile_of(
        '[inventory]\ntables = ["talk.letters_old"]',
        phase="frozen",
        messages="chat_db/table/talk.letters: letter_no thread body",
    )
    listed = Listed(
        [
            *table("talk.letters", "letter_no", "thread", "body"),
            *table("talk.letters_2026_11", "letter_no", "thread", "body"),
            *table("talk.archive", "letter_no", "thread", "body", "moved"),
            *table("talk.letters_p1", "letter_no", "thread", "body", ancestors=["talk.letters"]),
            *table("talk.letters_old", "letter_no", "thread", "body"),
            *table("talk.newsletters", "title", "body"),
            *table("talk.threads", "thread", "title"),
        ]
    )
    found_there = await grown("MSG-03", profile, {"chat_db": listed})
    assert [item.key for item in found_there] == ["talk.letters_2026_11", "talk.archive"]
    assert listed.kinds[0] == "columns"


async def test_a_child_is_judged_together_with_the_table_it_belongs_to() -> None:
    """A child of the declared table, at any depth, is read with it; a child of an unrelated one is a copy like any other; and a
    copy's own partitions are not reported beside it."""
    profile = profile_of(phase="frozen", messages="chat_db/table/talk.letters: letter_no thread body")
    columns = ("letter_no", "thread", "body")
    listed = Listed(
        [
            *table("talk.letters", *columns),
            *table("talk.letters_part0", *columns, ancestors=["talk.letters"]),
            *table("talk.letters_part0_a", *columns, ancestors=["audit.base", "talk.letters", "talk.letters_part0"]),
            *table("audit.base", "made_at"),
            *table("audit.post", "made_at", *columns, ancestors=["audit.base"]),
            *table("talk.letters_v2_p1", *columns, ancestors=["talk.letters_v2"]),
            *table("talk.letters_v2", *columns, kind="p"),
        ]
    )
    assert [item.key for item in await grown("MSG-03", profile, {"chat_db": listed})] == [
        "audit.post",
        "talk.letters_v2",
    ]


async def test_an_older_copy_is_written_through_its_partitions() -> None:
    """The server counts no writes for a partitioned table itself. A new partition without rows is no write."""
    profile = profile_of(phase="frozen", messages="chat_db/table/talk.letters: letter_no thread body")
    columns = ("letter_no", "thread", "body")
    copy = [*table("talk.letters", *columns), *table("talk.letters_old", *columns, kind="p")]
    parts = [table(f"talk.letters_old_p{number}", *columns, ancestors=["talk.letters_old"]) for number in (1, 2)]
    listed = Listed([*copy, *parts[0]])
    world = Memory(profile, {}, {"chat_db": listed})
    (proof,) = load_checks()["MSG-03"].proofs(profile)
    await world.run(proof, baselining=True)
    listed.objects = [*copy, *parts[0], *parts[1]]
    assert (await world.run(proof)).findings == ()
    written = [
        StoreObject(kind=item.kind, name=item.name, attributes={**item.attributes, "writes": 3}) for item in parts[1]
    ]
    listed.objects = [*copy, *parts[0], *written]
    assert [item.key for item in (await world.run(proof)).findings] == ["talk.letters_old_p2"]


async def test_messages_in_mongodb_have_no_second_collection() -> None:
    """Collections that merely contain the name in another word are not copies."""
    profile = profile_of(phase="frozen", messages="chat_mongo/collection/letters: _id thread body written_ms")
    listed = Listed(
        [
            collection("chat.letters", "_id", "thread", "body"),
            collection("chat.letters2", "_id"),
            collection("other.post", "_id", "thread", "body", "written_ms"),
            collection("chat.newsletters", "_id", "subject"),
        ]
    )
    found_there = await grown("MSG-03", profile, {"chat_mongo": listed})
    assert [item.key for item in found_there] == ["chat.letters2", "other.post"]


async def test_a_relation_of_two_homes_is_judged_in_both() -> None:
    """Messages whose bodies are in another store."""
    text = """
[[relations.messages]]
role = "chat_db"
table = "talk.letters"
key = "message_id"
columns.message_id = "letter_no"
columns.conversation_id = "thread"
[[relations.messages]]
role = "chat_mongo"
collection = "bodies"
key = "message_id"
columns.message_id = "_id"
columns.conversation_id = "thread"
"""
    profile = profile_of(phase="frozen", roles=text)
    stores = {
        "chat_db": Listed(table("talk.letters_v2", "letter_no", "thread")),
        "chat_mongo": Listed([collection("chat.bodies_v2", "_id", "thread")]),
    }
    assert [item.key for item in await grown("MSG-03", profile, stores)] == ["talk.letters_v2", "chat.bodies_v2"]


async def test_conversations_in_mongodb_have_no_second_collection() -> None:
    """CNV-06 asks the store in which they are."""
    profile = profile_of(phase="frozen", conversations="chat_mongo/collection/rooms: _id topic last")
    stores = {"chat_mongo": Listed([collection("chat.rooms", "_id"), collection("chat.rooms_v2", "_id", "topic")])}
    assert [item.key for item in await grown("CNV-06", profile, stores)] == ["chat.rooms_v2"]


async def test_a_table_that_the_search_path_leads_to_is_declared() -> None:
    """The profile gives it without a schema, and `public` has none of the name; another one in a further schema is a copy."""
    profile = profile_of(phase="frozen", conversations="chat_db/table/threads: thread_no topic last_ms")
    columns = ("thread_no", "topic", "last_ms")
    for there, copies in (
        (("talk.threads",), []),
        (("public.threads", "talk.threads"), ["talk.threads"]),
    ):
        listed = Listed([item for name in there for item in table(name, *columns)])
        assert [item.key for item in await grown("CNV-06", profile, {"chat_db": listed})] == copies


async def test_relations_in_redis_are_not_applicable() -> None:
    """Their keys have no schema and no list."""
    for check, relation in (("MSG-03", "messages"), ("CNV-06", "conversations"), ("USR-08", "users")):
        profile = profile_of(phase="frozen", **{relation: "cache_redis/keys/x/{id}: id"})
        with pytest.raises(NotApplicable, match="Redis"):
            load_checks()[check].proofs(profile)


async def test_users_in_mongodb_get_no_new_collection() -> None:
    """Compared with the baseline, in the users' own database; an approved one is none."""
    profile = profile_of('[inventory]\ncollections = ["chat.drafts"]', users="chat_mongo/collection/people: _id name")
    store = Listed([collection("chat.people", "_id"), collection("other.things", "_id")])
    world = Memory(profile, {}, {"chat_mongo": store})
    (proof,) = load_checks()["USR-08"].proofs(profile)
    await world.run(proof, baselining=True)
    assert (await world.run(proof)).verdict is Verdict.HOLDS
    store.objects = [*store.objects, *(collection(name) for name in ("chat.im_store", "chat.drafts", "other.more"))]
    assert [item.key for item in (await world.run(proof)).findings] == ["chat.im_store"]


async def test_kept_relations_are_judged_in_each_store() -> None:
    """Schemas of tables in two databases, and of none in MongoDB; an emptied relation in any store."""
    profile = profile_of(
        users="chat_mongo/collection/people: _id name",
        devices="user_db/table/public.gadgets: id",
        friends="chat_db/table/public.buddies: id",
    )
    people = Table([{"_id": 1}], key=("_id",))
    tables = {"users": people, "devices": Table([{"id": 1}]), "friends": Table([{"id": 1}])}
    stores = {"user_db": Listed(table("public.gadgets", "id")), "chat_db": Listed(table("public.buddies", "id", "at"))}
    world, proofs = Memory(profile, tables, stores), load_checks()["KEEP-02"].proofs(profile)
    # The numbers of proofs are part of what is remembered; here each runs alone.
    for proof, relation in zip(proofs, ("gadgets", "buddies"), strict=False):
        await world.run(proof, baselining=True)
        role = "user_db" if relation == "gadgets" else "chat_db"
        stores[role].objects = stores[role].objects[1:]
        assert [item.key for item in (await world.run(proof)).findings] == [f"public.{relation}.id text"]
    emptied = proofs[2]
    assert (await world.run(emptied)).verdict is Verdict.HOLDS
    people.rows = []
    assert found([await world.run(emptied)]) == ["relation users had records in an earlier run and is empty now"]
