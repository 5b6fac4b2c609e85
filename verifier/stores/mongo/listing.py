"""The inventory of a MongoDB server: every collection that can be read, with its field names, and what cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verifier.stores.errors import Denied, StoreError
from verifier.stores.mongo.client import MongoClient, facts_of
from verifier.stores.protocols import StoreObject

SERVER_DATABASES = frozenset({"admin", "local", "config"})
SAMPLE_DOCUMENTS = 20


async def list_collections(client: MongoClient) -> list[StoreObject]:
    """Collections, views and time series, and an object of kind `unreadable` or `limitation` for what cannot be read."""
    databases, found = await _databases(client)
    for database in sorted(databases - SERVER_DATABASES):
        try:
            entries = await _entries(client, database)
        except Denied as error:
            found.append(StoreObject(kind="unreadable", name=f"{database}.*", attributes={"reason": str(error)}))
            continue
        for entry in sorted(entries, key=lambda item: str(item["name"])):
            if not str(entry["name"]).startswith("system."):
                found.append(await _collection(client, database, entry))
    return found


async def _databases(client: MongoClient) -> tuple[set[str], list[StoreObject]]:
    """Names of databases, and a limitation where the credential may not list all of them."""
    try:
        return await _listed(client, only_authorized=False), []
    except Denied as error:
        hidden = StoreObject(
            kind="limitation", name="databases that this credential may not list", attributes={"reason": str(error)}
        )
    try:
        names = await _listed(client, only_authorized=True)
    except Denied:
        names = set()
    return names | {client.config.database} | await _granted(client), [hidden]


async def _listed(client: MongoClient, *, only_authorized: bool) -> set[str]:
    answer = await client.command({"listDatabases": 1, "nameOnly": True, "authorizedDatabases": only_authorized})
    return {str(item["name"]) for item in answer["databases"]}


async def _granted(client: MongoClient) -> set[str]:
    """The databases named in the user's roles and privileges."""
    info = (await client.command({"connectionStatus": 1, "showPrivileges": True})).get("authInfo") or {}
    resources = [item.get("resource") or {} for item in info.get("authenticatedUserPrivileges") or []]
    roles = info.get("authenticatedUserRoles") or []
    return {str(item["db"]) for item in (*resources, *roles) if item.get("db")}


async def _entries(client: MongoClient, database: str) -> list[Mapping[str, Any]]:
    answer = await client.command({"listCollections": 1, "cursor": {"batchSize": 10_000}}, database=database)
    if answer["cursor"]["id"]:
        raise StoreError(f"{client.label}: database {database} has more than 10 000 collections, too many to list.")
    return list(answer["cursor"]["firstBatch"])


async def _collection(client: MongoClient, database: str, entry: Mapping[str, Any]) -> StoreObject:
    facts, name = facts_of(entry), str(entry["name"])
    attributes: dict[str, Any] = {"type": facts.kind, "capped": facts.capped, "uuid": facts.uuid}
    if facts.kind == "view":
        attributes["view_on"] = (entry.get("options") or {}).get("viewOn", "")
    try:
        attributes["fields"] = await _fields(client, database, name, newest=facts.kind == "collection")
        attributes["count"] = await _count(client, database, name) if facts.kind == "collection" else None
    except Denied as error:
        attributes["unreadable"] = str(error)
    return StoreObject(kind="collection", name=f"{database}.{name}", attributes=attributes)


async def _fields(client: MongoClient, database: str, name: str, *, newest: bool) -> list[str]:
    """Field names of a few documents, of the newest ones where `_id` is indexed. No value leaves the server."""
    order: list[dict[str, Any]] = [{"$sort": {"_id": -1}}] if newest else []
    names = {"$map": {"input": {"$objectToArray": "$$ROOT"}, "in": "$$this.k"}}
    pipeline = [*order, {"$limit": SAMPLE_DOCUMENTS}, {"$project": {"_id": 0, "names": names}}]
    found = await client.aggregate(name, pipeline, database=database)
    return sorted({str(field) for document in found for field in document["names"]})


async def _count(client: MongoClient, database: str, name: str) -> int:
    """The number of documents by the collection's metadata: cheap, and exact except after an unclean shutdown."""
    found = await client.aggregate(name, [{"$collStats": {"count": {}}}], database=database)
    return sum(int(item.get("count", 0)) for item in found)
