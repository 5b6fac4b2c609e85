"""The MongoDB store: what it sends, what it says of its server, and how it fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fixtures.stack.ports import claim_port, release_port
from tests.verifier.stores.mongo_world import MESSAGES, MongoWorld
from verifier.model.query import Rows
from verifier.profile.timing import Timing
from verifier.stores.errors import Denied, Forbidden, StoreError, Unreachable
from verifier.stores.mongo.guard import DRIVER_COMMANDS, READ_COMMANDS
from verifier.stores.mongo.store import MongoStore

pytestmark = pytest.mark.anyio


async def test_only_reads_reach_the_wire(mongo: MongoWorld) -> None:
    """Everything that the store can do was watched by the driver: nothing but reads left."""
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
    """Even with a credential that could."""
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
    """The server's time, aware, and its product."""
    async with mongo.store() as store:
        assert abs(datetime.now(UTC) - await store.clock()) < timedelta(seconds=5)
        assert (await store.version()).startswith(("MongoDB ", "SecantusDB "))


async def test_privileges_of_a_reader_and_a_writer(mongo: MongoWorld) -> None:
    """Role read is enough; one that writes is too much."""
    async with mongo.store() as store:
        assert [item.state for item in await store.privileges()] == ["ok"]
    async with mongo.store(mongo.grant.platform) as store:
        found = await store.privileges()
        assert [item.state for item in found] == ["too_many"]
        assert "readWrite" in found[0].detail


READS = ["find", "changeStream", "collStats", "listCollections", "killCursors"]


@pytest.mark.parametrize(
    ("granted", "states"),
    [
        ([("app", "", READS)], {"ok"}),
        ([("app", "", [*READS, "insert"])], {"too_many"}),
        ([("app", "", READS), ("other", "", ["dropCollection"])], {"too_many"}),
        ([("app", "", READS), ("app", "", ["telepathy"])], {"unknown"}),
        ([("app", "", ["find"])], {"notice"}),
        ([("other", "", READS)], {"missing"}),
        ([("", "", ["anyAction"])], {"too_many"}),
    ],
)
async def test_privileges_by_action(
    mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch, granted: list[tuple[str, str, list[str]]], states: set[str]
) -> None:
    """Where the server tells actions (this one tells roles only), they decide; an unknown one is never "fine"."""
    privileges = [
        {"resource": {"db": mongo.grant.database if db == "app" else db, "collection": name}, "actions": actions}
        for db, name, actions in granted
    ]
    answer = {"authInfo": {"authenticatedUsers": [{"user": "u", "db": "d"}], "authenticatedUserPrivileges": privileges}}
    async with mongo.store() as store:

        async def command(*_: object, **__: object) -> object:
            return answer

        monkeypatch.setattr(store, "command", command)
        assert {item.state for item in await store.privileges()} == states


async def test_a_server_without_authentication_is_unknown(mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked who they are: never "fine"."""
    async with mongo.store() as store:

        async def command(*_: object, **__: object) -> object:
            return {"authInfo": {"authenticatedUsers": []}}

        monkeypatch.setattr(store, "command", command)
        assert [item.state for item in await store.privileges()] == ["unknown"]


async def test_listing(mongo: MongoWorld) -> None:
    """Collections, capped ones, views and time-series with the names of their fields; values stay on the server."""
    mongo.messages.insert_many([{"_id": number, "conv": "c", f"f{number}": "secret"} for number in range(25)])
    mongo.database.create_collection("log", capped=True, size=4096)
    mongo.database.create_collection("recent", viewOn="messages", pipeline=[{"$match": {"_id": {"$gt": 23}}}])
    mongo.database.create_collection("ticks", timeseries={"timeField": "at"})
    async with mongo.store() as store:
        found = {item.name: item for item in await store.listing("collections")}
        with pytest.raises(ValueError, match="lists collections"):
            await store.listing("queues")
    name = mongo.grant.database
    messages = found[f"{name}.messages"].attributes
    assert (messages["count"], messages["type"], messages["capped"]) == (25, "collection", False)
    assert messages["fields"] == sorted(["_id", "conv", *(f"f{number}" for number in range(5, 25))])
    assert len(messages["uuid"]) == 36
    assert found[f"{name}.log"].attributes["capped"]
    assert found[f"{name}.recent"].attributes["type"] == "view"
    assert found[f"{name}.recent"].attributes["view_on"] == "messages"
    assert "conv" in found[f"{name}.recent"].attributes["fields"]
    assert found[f"{name}.ticks"].attributes["type"] == "timeseries"
    assert "secret" not in str(found)


async def test_listing_admits_what_it_cannot_see(mongo: MongoWorld) -> None:
    """A user who may not list databases says so."""
    async with mongo.store() as store:
        found = await store.listing("collections")
    assert [item.name for item in found if item.kind == "blind"] == ["databases that this credential may not list"]


async def test_listing_by_one_who_sees_everything(mongo: MongoWorld) -> None:
    """Another database of the server is listed, the server's own ones are not."""
    mongo.messages.insert_one({})
    mongo.writer.admin.command("ping")
    async with mongo.store() as store:
        answers = {
            "listDatabases": {"databases": [{"name": "admin"}, {"name": mongo.grant.database}, {"name": "hidden"}]},
        }
        real = store.command

        async def command(command: dict[str, object], *, database: str = "admin") -> object:
            return answers.get(next(iter(command))) or await real(command, database=database)

        store.command = command  # type: ignore[method-assign, assignment]
        found = [(item.kind, item.name) for item in await store.listing("collections")]
    assert found == [("unreadable", "hidden.*"), ("collection", f"{mongo.grant.database}.messages")]


async def test_wrong_password(mongo: MongoWorld) -> None:
    """The role is named, the password is not."""
    secret = "not-the-password"  # noqa: S105 - a test value
    before, _, after = mongo.grant.verifier.partition("@")
    url = before.rpartition(":")[0] + f":{secret}@{after}"
    with pytest.raises(Denied, match=r"roles\.chat_mongo\.url") as caught:
        async with mongo.store(url):
            pass
    assert secret not in str(caught.value)


async def test_no_credential(mongo: MongoWorld) -> None:
    """A server that wants one says so at the first read."""
    bare = "mongodb://" + mongo.grant.verifier.partition("@")[2].partition("/")[0] + "/?directConnection=true"
    with pytest.raises(Denied, match="Grant role read"):
        async with mongo.store(bare) as store:
            await store.find("messages", {})


async def test_another_database_is_denied(mongo: MongoWorld) -> None:
    """What the credential may not read is Denied, with what to grant."""
    async with mongo.store() as store:
        with pytest.raises(Denied, match="Grant role read"):
            await store.aggregate("messages", [{"$match": {}}], database="somebody_elses")


@pytest.mark.parametrize(
    ("url", "kind", "text"),
    [
        ("http://127.0.0.1/", StoreError, "the URL cannot be used"),
        ("mongodb://user:pa@ss@127.0.0.1/", StoreError, "must be escaped"),
        ("mongodb://127.0.0.1:99999999/", StoreError, "the URL cannot be used"),
    ],
)
async def test_bad_urls(mongo: MongoWorld, url: str, kind: type[Exception], text: str) -> None:
    """A URL that cannot be used is told apart from a server that is down."""
    with pytest.raises(kind, match=text):
        async with mongo.store(url):
            pass


async def test_nobody_there(mongo: MongoWorld) -> None:
    """Unreachable within the connect time-out, in one sentence."""
    port = claim_port()
    with pytest.raises(Unreachable, match="Is it up") as caught:
        async with mongo.store(f"mongodb://127.0.0.1:{port}/?directConnection=true", connect_timeout_s=0.5):
            pass
    release_port(port)
    assert "Topology" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_not_connected() -> None:
    """A store that was never connected says so."""
    from verifier.profile.roles import MongoRole

    store = MongoStore("chat_mongo", MongoRole.model_validate({"url": "mongodb://127.0.0.1/", "database": "d"}))
    with pytest.raises(Unreachable, match="not connected"):
        await store.clock()
    await store.close()


async def test_strange_names(mongo: MongoWorld) -> None:
    """Names with spaces, quotes and emoji are names."""
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
