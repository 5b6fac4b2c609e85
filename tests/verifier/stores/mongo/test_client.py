"""The MongoDB client: which commands it sends, and how it fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import errors

from fixtures.processes.ports import claim_port, release_port
from tests.verifier.stores.mongo.world import MESSAGES, MongoWorld
from verifier.model.query import Rows
from verifier.profile.roles import MongoRole
from verifier.profile.timing import Timing
from verifier.stores.budget import NoAnswer, TooSlow
from verifier.stores.errors import Denied, Forbidden, StoreError, Unreachable
from verifier.stores.mongo.client import MongoClient, form_of
from verifier.stores.mongo.guard import READ_COMMANDS
from verifier.stores.mongo.store import MongoStore

pytestmark = pytest.mark.anyio


# What the driver sends by itself: paging, sessions, the handshake.
DRIVER_COMMANDS = frozenset(
    "getMore killCursors endSessions hello isMaster ismaster saslStart saslContinue authenticate".split()
)


async def test_only_reading_commands_are_sent(mongo: MongoWorld) -> None:
    """By the driver's own events, everything that the store can do sends reading commands only."""
    mongo.messages.insert_many([{"_id": number, "conv": "c"} for number in range(500)])
    async with mongo.store(chunk_rows=100) as store:
        source = store.source(MESSAGES, Rows("messages", ("conversation_id",)))
        assert len([row async for chunk in source.chunks() for row in chunk]) == 500
        await source.lookup("message_id", ["1"])
        observer = store.observer(MESSAGES, (), Timing())
        before = await observer.read()
        assert [item async for item in observer.witnesses(before, await observer.read())] == []
        await store.listing("collections")
        await store.privileges()
        await store.version()
        await store.clock()
        sent = set(store.statement_log.reads)
    assert {"find", "aggregate", "getMore"} <= sent
    assert sent <= READ_COMMANDS | DRIVER_COMMANDS


async def test_writes_are_refused_before_they_are_sent(mongo: MongoWorld) -> None:
    """Writing commands and stages are refused and counted, also with a credential that can write."""
    mongo.messages.insert_one({"_id": 1})
    async with mongo.store(mongo.grant.platform) as store:
        sent = store.statement_log.total
        with pytest.raises(Forbidden):
            await store.command({"drop": "messages"}, database=mongo.grant.database)
        with pytest.raises(Forbidden):
            await store.aggregate("messages", [{"$match": {}}, {"$out": "copy"}])
        with pytest.raises(Forbidden):
            await store.watch("messages", [{"$merge": "copy"}])
        assert (store.statement_log.total, store.statement_log.refused) == (sent, 3)
    assert mongo.database.list_collection_names() == ["messages"]


async def test_clock_and_version(mongo: MongoWorld) -> None:
    """The clock is aware, and the version names the product."""
    async with mongo.store() as store:
        assert abs(datetime.now(UTC) - await store.clock()) < timedelta(seconds=5)
        assert (await store.version()).startswith(("MongoDB ", "SecantusDB "))


async def test_wrong_password(mongo: MongoWorld) -> None:
    """The error names the role and not the password."""
    secret = "not-the-password"  # noqa: S105 - a test value
    before, _, after = mongo.grant.verifier.partition("@")
    url = before.rpartition(":")[0] + f":{secret}@{after}"
    with pytest.raises(Denied, match=r"roles\.chat_mongo\.url") as caught:
        async with mongo.store(url):
            pass
    assert secret not in str(caught.value)


async def test_no_credential(mongo: MongoWorld) -> None:
    """A server that requires a credential denies the first read."""
    bare = "mongodb://" + mongo.grant.verifier.partition("@")[2].partition("/")[0] + "/?directConnection=true"
    with pytest.raises(Denied, match="Grant role read"):
        async with mongo.store(bare) as store:
            await store.find("messages", {})


async def test_another_database_is_denied(mongo: MongoWorld) -> None:
    """Reading another database is Denied, with the role to grant."""
    async with mongo.store() as store:
        with pytest.raises(Denied, match="Grant role read"):
            await store.aggregate("messages", [{"$match": {}}], database="somebody_elses")


@pytest.mark.parametrize(
    ("url", "kind", "text"),
    [
        ("http://127.0.0.1/", StoreError, "the URL cannot be used"),
        ("mongodb://127.0.0.1:99999999/", StoreError, "the URL cannot be used"),
    ],
)
async def test_bad_urls(mongo: MongoWorld, url: str, kind: type[Exception], text: str) -> None:
    """A URL that cannot be used is another error than a server that is down."""
    with pytest.raises(kind, match=text):
        async with mongo.store(url):
            pass


async def test_a_server_that_is_down_is_unreachable(mongo: MongoWorld) -> None:
    """The error comes within the connect time-out and is one sentence."""
    port = claim_port()
    with pytest.raises(Unreachable, match="Is it up") as caught:
        async with mongo.store(f"mongodb://127.0.0.1:{port}/?directConnection=true", connect_timeout_s=0.5):
            pass
    release_port(port)
    assert "Topology" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_store_that_is_not_connected_is_unreachable() -> None:
    """Using a store before `connect` is an error."""
    from verifier.profile.roles import MongoRole

    store = MongoStore("chat_mongo", MongoRole.model_validate({"url": "mongodb://127.0.0.1/", "database": "d"}))
    with pytest.raises(Unreachable, match="not connected"):
        await store.clock()
    await store.close()


async def test_names_with_special_characters(mongo: MongoWorld) -> None:
    """Collections and ids may have spaces, quotes and emoji."""
    relation = MESSAGES.model_copy(update={"collection": 'mess ages.2026 "x" 😀'})
    mongo.database[relation.collection or ""].insert_one({"_id": "a:b_c 😀"})
    async with mongo.store() as store:
        source = store.source(relation, Rows("messages"))
        assert [row async for chunk in source.chunks() for row in chunk] == [{"message_id": "a:b_c 😀"}]
        observer = store.observer(relation, (), Timing())
        before = await observer.read()
        mongo.database[relation.collection or ""].delete_one({})
        now = await observer.read()
        assert [item.key async for item in observer.witnesses(before, now)] == ["a:b_c 😀"]


async def test_a_query_that_the_server_cancels_does_not_leave_the_server_out() -> None:
    """It takes the whole time limit and is answered: the server is alive, and other queries are sent."""
    role = MongoRole.model_validate({"url": "mongodb://127.0.0.1:1", "database": "chat", "operation_timeout_s": 0.05})
    client = MongoClient("chat_mongo", role)
    sent = []

    async def cancelled() -> None:
        sent.append(1)
        await asyncio.sleep(0.06)
        raise errors.ExecutionTimeout("operation exceeded time limit", 50)

    for _ in range(2):
        with pytest.raises(TooSlow) as raised:
            await client.run(cancelled, kind="aggregate messages [{$count}]")
        assert not isinstance(raised.value, NoAnswer)
    assert sent == [1]
    assert not client.budget.left_out


def test_the_form_of_a_query_has_no_values() -> None:
    """Two filters on the same fields are one kind of query; those on other fields are another."""
    assert form_of({"_id": {"$gt": 7}, "type": "chat"}) == "{_id: {$gt}, type}"
    assert form_of({"$or": [{"a": 1}, {"a": 2}, {"b": {"$in": [1, 2]}}]}) == "{$or: [{a}, {b: {$in}}]}"
    assert form_of([{"$match": {}}, {"$count": "documents"}]) == "[{$match: {}}, {$count}]"
    assert form_of({"_id": {"$gt": 7}}) != form_of({"conversation_id": {"$in": [7]}})
