"""What `doctor` shows of a MongoDB user's privileges."""

from __future__ import annotations

import pytest

from tests.verifier.stores.mongo.world import MongoWorld

pytestmark = pytest.mark.anyio


async def test_privileges_of_a_reader_and_a_writer(mongo: MongoWorld) -> None:
    """Role read is ok; a role that writes is too much."""
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
    """Where the server shows actions (the embedded one shows roles), they decide; an unknown action is never ok."""
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
    """A server without authentication is never ok."""
    async with mongo.store() as store:

        async def command(*_: object, **__: object) -> object:
            return {"authInfo": {"authenticatedUsers": []}}

        monkeypatch.setattr(store, "command", command)
        assert [item.state for item in await store.privileges()] == ["unknown"]
