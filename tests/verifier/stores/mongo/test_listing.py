"""The inventory of a live MongoDB-wire server."""

from __future__ import annotations

import pytest

from tests.verifier.stores.mongo.world import MongoWorld

pytestmark = pytest.mark.anyio


async def test_listing(mongo: MongoWorld) -> None:
    """Collections, capped ones, views and time series are listed with their field names and without values."""
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


async def test_databases_that_may_not_be_listed_are_a_limitation(mongo: MongoWorld) -> None:
    """For a user who may not list databases, the inventory has a limitation."""
    async with mongo.store() as store:
        found = await store.listing("collections")
    assert [item.name for item in found if item.kind == "limitation"] == ["databases that this credential may not list"]


async def test_all_databases_but_the_servers_own_are_listed(mongo: MongoWorld) -> None:
    """Other databases are listed, the server's own ones are not."""
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
