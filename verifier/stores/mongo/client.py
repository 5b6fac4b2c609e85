"""MongoDB: the connection, and the only methods through which commands are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pymongo
from bson import Timestamp
from pymongo import errors
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import MongoRole
from verifier.stores.budget import Budget, TooSlow
from verifier.stores.errors import Denied, Forbidden, Missing, StoreError, Unreachable
from verifier.stores.mongo.command_log import CommandLog
from verifier.stores.mongo.guard import require_read_command, require_read_pipeline
from verifier.stores.mongo.values import CODEC
from verifier.stores.statement_log import StatementLog

T = TypeVar("T")
Document = dict[str, Any]
STREAM_CONNECTIONS = 4
"""Connections for change streams, in addition to those of the budget, because they wait on purpose."""

GRACE_S = 1.0
"""How much longer the client waits than the server, which cancels a query itself."""


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """What a name refers to. `kind`: collection, timeseries, view, absent, or unknown where the server does not answer."""

    kind: str
    uuid: str = ""
    capped: bool = False
    pre_images: bool = False


class MongoClient:
    """A connection to one MongoDB server and database. Every command passes `require_read_command`."""

    clock_grain_s = 0.0

    def __init__(self, role: str, config: MongoRole, budget: StoreBudget | None = None) -> None:
        self.role = role
        self.config = config
        self.label = f"{role} (MongoDB)"
        self.statement_log = StatementLog()
        self.max_wire_version = 0
        self.limits = budget or StoreBudget()
        self.budget = Budget(
            self.limits,
            timeout_s=config.operation_timeout_s,
            grace_s=GRACE_S,
            store=self.label,
            statement_log=self.statement_log,
        )
        self._client: pymongo.AsyncMongoClient[Document] | None = None

    async def connect(self) -> None:
        """Connect, and read the server's wire version."""
        options: dict[str, Any] = {
            "appname": "openim-verifier",
            "serverSelectionTimeoutMS": int(self.config.connect_timeout_s * 1000),
            "connectTimeoutMS": int(self.config.connect_timeout_s * 1000),
            "socketTimeoutMS": int((self.config.operation_timeout_s + GRACE_S) * 1000),
            "maxPoolSize": self.limits.max_concurrency + STREAM_CONNECTIONS,
            "event_listeners": [CommandLog(self.statement_log)],
        }
        if self.config.tls_ca_file:
            options["tlsCAFile"] = self.config.tls_ca_file
        if self.config.tls_certificate_key_file:
            options["tlsCertificateKeyFile"] = self.config.tls_certificate_key_file
        try:
            self._client = pymongo.AsyncMongoClient(self.config.url.get_secret_value(), **options)
        except (errors.PyMongoError, ValueError, TypeError) as error:
            raise StoreError(
                f"{self.label}: the URL cannot be used ({_sentence(error)}). Check roles.{self.role}.url."
            ) from None
        except OSError as error:
            raise StoreError(
                f"{self.label}: a TLS file cannot be read ({error}). Check the tls_… files of roles.{self.role}."
            ) from None
        self.max_wire_version = int((await self.hello()).get("maxWireVersion", 0))
        await self.command({"ping": 1})

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await self._client.close()

    @property
    def _connected(self) -> pymongo.AsyncMongoClient[Document]:
        if self._client is None:
            raise Unreachable(f"{self.label} is not connected.")
        return self._client

    async def command(self, command: Mapping[str, Any], *, database: str = "admin") -> Document:
        """Run one allowed command and return the server's answer."""
        self._guard(require_read_command, command)
        target = self._connected.get_database(database, codec_options=CODEC)
        name = next(iter(command))
        return await self.run(lambda: target.command(dict(command), codec_options=CODEC), kind=name)

    async def find(
        self,
        collection: str,
        criteria: Mapping[str, Any],
        *,
        projection: Mapping[str, Any] | None = None,
        sort: Mapping[str, int] | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """Documents of a collection of the role's database; the caller bounds their number."""
        self._guard(require_read_command, {"find": collection, "filter": criteria, "projection": projection})
        target = self._connected.get_database(self.config.database, codec_options=CODEC)[collection]

        async def work() -> list[Document]:
            cursor = target.find(criteria, projection, limit=limit, batch_size=limit, max_time_ms=self._max_time_ms)
            return await (cursor.sort(sort) if sort else cursor).to_list()

        return await self.run(work, kind=f"find {collection} {form_of(criteria)}", rows=len)

    async def aggregate(
        self,
        collection: str,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        database: str | None = None,
        optional: bool = False,
    ) -> list[Document]:
        """The result of an allowed pipeline; the caller bounds its size. `optional`: see `Budget.run`."""
        self._guard(require_read_pipeline, pipeline)
        target = self._connected.get_database(database or self.config.database, codec_options=CODEC)[collection]

        async def work() -> list[Document]:
            return await (await target.aggregate(pipeline, maxTimeMS=self._max_time_ms)).to_list()

        return await self.run(work, kind=f"aggregate {collection} {form_of(pipeline)}", rows=len, optional=optional)

    async def watch(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]] = (), **options: Any
    ) -> AsyncCollectionChangeStream[Document]:
        """An open change stream on a collection of the role's database; the caller closes it."""
        self._guard(require_read_pipeline, pipeline)
        target = self._connected.get_database(self.config.database, codec_options=CODEC)[collection]
        return await self.run(lambda: target.watch(list(pipeline), **options), translate=False)

    async def run(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        translate: bool = True,
        kind: str | None = None,
        rows: Callable[[T], int] = lambda _: 0,
        optional: bool = False,
    ) -> T:
        """Do work of the driver within the budget, and translate its errors.

        `translate=False`: raise an OperationFailure as it is. `kind`: the statement in normal form; None for a change stream,
        which waits on purpose. `optional`: see `Budget.run`.
        """

        async def translated() -> T:
            # Within the budget, which tells a query that the server cancelled from a server that does not answer.
            try:
                return await work()
            except errors.OperationFailure as error:
                if not translate:
                    raise
                raise self.translate(error) from None
            except (errors.PyMongoError, OSError) as error:
                if isinstance(error, errors.ServerSelectionTimeoutError | errors.NetworkTimeout):
                    self.budget.leave_out()
                raise self.translate(error) from None

        return await self.budget.run(translated, kind=kind, rows=rows, audited=False, optional=optional)

    def _guard(self, require: Callable[[Any], None], what: Any) -> None:
        try:
            require(what)
        except Forbidden:
            self.statement_log.refused += 1
            raise

    @property
    def _max_time_ms(self) -> int:
        return max(1, int((self.limits.statement_timeout_s or self.config.operation_timeout_s) * 1000))

    def translate(self, error: Exception) -> StoreError:
        """A driver's error as a StoreError whose message names the next step."""
        text = _sentence(error)
        match error:
            case errors.ExecutionTimeout():
                return TooSlow(
                    f"{self.label} cancelled a query after {self._max_time_ms / 1000:g} s. "
                    "Is there an index for it? Raise operation_timeout_s of the role if it is only slow."
                )
            case errors.OperationFailure(code=18 | 8000):
                return Denied(
                    f"{self.label} refused the user or password of roles.{self.role}.url. "
                    "Correct it (and authSource), or the secret that it comes from."
                )
            case errors.OperationFailure(code=13):
                return Denied(
                    f"{self.label}: {text}. Grant role read on {self.config.database} to the verifier's user."
                )
            case errors.OperationFailure(code=26):
                return Missing(f"{self.label}: {text}. Correct the collection in the profile.")
            case errors.OperationFailure():
                return StoreError(f"{self.label} refused a query: {text}. Check where and columns in the profile.")
            case errors.ConnectionFailure() | OSError():
                return Unreachable(
                    f"{self.label} cannot be reached: {text}. Is it up, and is roles.{self.role}.url right?"
                )
            case _:
                return StoreError(f"{self.label}: {text}.")

    async def hello(self) -> Document:
        """The server's description of itself; needs no privilege."""
        return await self.command({"hello": 1})

    async def facts(self, collection: str) -> CollectionFacts:
        """What a collection's name refers to. Raises Denied where the credential may not list it."""
        answer = await self.command(
            {"listCollections": 1, "filter": {"name": collection}}, database=self.config.database
        )
        found = answer["cursor"]["firstBatch"]
        return facts_of(found[0]) if found else CollectionFacts("absent")

    async def clock(self) -> datetime:
        """The server's clock."""
        moment: datetime = (await self.hello())["localTime"]
        return moment.astimezone(UTC)

    async def version(self) -> str:
        """`MongoDB 8.0.4`."""
        facts = await self.command({"buildInfo": 1})
        if "secantusVersion" in facts:
            return f"SecantusDB {facts['secantusVersion']} (speaks MongoDB {facts['version']})"
        return f"MongoDB {facts.get('version', '?')}"


def facts_of(entry: Mapping[str, Any]) -> CollectionFacts:
    """The facts in one entry of listCollections."""
    options = entry.get("options") or {}
    kind = "timeseries" if "timeseries" in options else str(entry.get("type", "collection"))
    uuid = (entry.get("info") or {}).get("uuid")
    images = options.get("changeStreamPreAndPostImages") or {}
    return CollectionFacts(kind, str(uuid) if uuid else "", bool(options.get("capped")), bool(images.get("enabled")))


def operation_time(hello: Mapping[str, Any]) -> Timestamp | None:
    """The cluster's logical time in the answer to `hello`; None on a standalone server."""
    moment = hello.get("operationTime")
    return moment if isinstance(moment, Timestamp) else None


def _sentence(error: BaseException) -> str:
    """The driver's message without the topology and the raw answer that the driver appends."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    for tail in (" (configured timeouts", ", full error:", ", Timeout:"):
        lines[0] = lines[0].partition(tail)[0]
    return lines[0].rstrip(".")


def form_of(query: Any) -> str:
    """A filter or pipeline in normal form: its fields and operators, without the values."""
    if isinstance(query, Mapping):
        return "{" + ", ".join(f"{name}{_nested(item)}" for name, item in query.items()) + "}"
    return "[" + ", ".join(dict.fromkeys(map(form_of, query))) + "]" if isinstance(query, list | tuple) else "…"


def _nested(item: Any) -> str:
    is_query = isinstance(item, Mapping) or (
        isinstance(item, list | tuple) and any(isinstance(part, Mapping) for part in item)
    )
    return f": {form_of(item)}" if is_query else ""
