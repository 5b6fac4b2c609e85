"""Reads from the stores which objects exist: names and types, never a value. All statements pass the stores' allow-lists."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from verifier.init.addresses import Addresses
from verifier.profile.roles import BrokerRole, MongoRole, PostgresRole, RedisRole, Role
from verifier.stores.errors import Denied, StoreError
from verifier.stores.pool import make_store
from verifier.stores.protocols import Store
from verifier.stores.redis.store import RedisStore

KEYS_MAX = 2000
SCANS_MAX = 40
_TIMEOUT_S = 15


@dataclass(frozen=True, kw_only=True)
class Found:
    """A table, view or collection: its full name, and its columns with their types (empty where the store has none)."""

    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RedisFound:
    """A sample of the keys (`complete`: all of them), and the channels that have subscribers."""

    keys: tuple[str, ...]
    complete: bool
    channels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BrokerFound:
    """Queues as (vhost, name); bindings as (vhost, exchange, routing key, queue)."""

    queues: tuple[tuple[str, str], ...]
    bindings: tuple[tuple[str, str, str, str], ...]
    unreadable: tuple[str, ...]


@dataclass(kw_only=True)
class Survey:
    """Everything that was found. A role is in `versions` if it was inspected, in `failures` if that failed."""

    tables: dict[str, list[Found]] = field(default_factory=dict)
    collections: dict[str, list[Found]] = field(default_factory=dict)
    mongo_database: str = ""
    redis: RedisFound | None = None
    broker: BrokerFound | None = None
    versions: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


async def inspect(addresses: Addresses) -> Survey:
    """Inspect all given stores concurrently. A store that cannot be inspected is in `failures`; the others go on."""
    survey = Survey()
    given = addresses.by_role()
    # OpenIM answers only with an admin token, and asking for one demotes older ones [F28]: `doctor` tests it.
    await asyncio.gather(*(_inspect(role, url, survey) for role, url in given.items() if role != "openim"))
    return survey


async def _inspect(name: str, url: str, survey: Survey) -> None:
    store: Store | None = None
    try:
        store = make_store(name, _role(name, url))
        await store.connect()
        version = await store.version()
        await _READERS[name](store, survey)
        survey.versions[name] = version
    except StoreError as error:
        survey.failures[name] = str(error)
    except (ValueError, httpx.InvalidURL) as error:
        survey.failures[name] = f"{name}: the URL cannot be used ({error})."
    finally:
        if store is not None:
            await store.close()


def _role(name: str, url: str) -> Role:
    secret = SecretStr(url)
    match name:
        case "chat_mongo":
            return MongoRole(url=secret, database=_database(url) or "admin", operation_timeout_s=_TIMEOUT_S)
        case "cache_redis":
            return RedisRole(url=secret, operation_timeout_s=_TIMEOUT_S)
        case "broker":
            return BrokerRole(management_url=secret, operation_timeout_s=_TIMEOUT_S)
        case _:
            return PostgresRole(url=secret, operation_timeout_s=_TIMEOUT_S)


def _database(mongo_url: str) -> str:
    return urlsplit(mongo_url).path.strip("/")


async def _tables(store: Any, survey: Survey) -> None:
    columns: dict[str, dict[str, str]] = {}
    for item in await store.listing("columns"):
        facts = item.attributes
        columns.setdefault(str(facts["table_name"]), {})[str(facts["column_name"])] = str(facts["type"])
    survey.tables[store.role] = [Found(name=name, columns=found) for name, found in columns.items()]


async def _collections(store: Any, survey: Survey) -> None:
    survey.mongo_database = "" if store.config.database == "admin" else store.config.database
    for item in await store.listing("collections"):
        if item.kind == "collection":
            database, _, name = item.name.partition(".")
            fields = dict.fromkeys(item.attributes.get("fields", ()), "")
            survey.collections.setdefault(database, []).append(Found(name=name, columns=fields))


async def _keys(store: Any, survey: Survey) -> None:
    redis: RedisStore = store
    keys: dict[str, None] = {}
    cursor = 0
    for _ in range(SCANS_MAX):
        cursor, batch = await redis.run("SCAN", redis.driver.scan(cursor, count=200))
        keys |= dict.fromkeys(_text(key) for key in batch)
        if cursor == 0 or len(keys) >= KEYS_MAX:
            break
    try:
        listened = await redis.run("PUBSUB CHANNELS", redis.driver.pubsub_channels())
    except Denied:
        listened = []
    survey.redis = RedisFound(
        keys=tuple(keys),
        complete=cursor == 0,
        channels=tuple(sorted(_text(channel) for channel in listened)),
    )


def _text(raw: bytes | str) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw


async def _queues(store: Any, survey: Survey) -> None:
    queues = await store.listing("queues")
    bindings = await store.listing("bindings")
    survey.broker = BrokerFound(
        queues=tuple(
            (str(item.attributes["vhost"]), str(item.attributes["name"])) for item in queues if item.kind == "queue"
        ),
        bindings=tuple(
            (at["vhost"], at["source"], at["routing_key"], at["queue"])
            for at in (item.attributes for item in bindings if item.kind == "binding")
            if at["queue"] and at["source"]
        ),
        unreadable=tuple(item.name for item in queues if item.kind == "unreadable"),
    )


_READERS = {
    "user_db": _tables,
    "chat_db": _tables,
    "chat_mongo": _collections,
    "cache_redis": _keys,
    "broker": _queues,
}
