"""The stores of one run: connected when first needed, each failure told once and remembered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.budgets import StoreBudget
from verifier.profile.errors import NotMapped
from verifier.profile.identity import Identity
from verifier.profile.models import Profile
from verifier.profile.relations import Channel, Queue, Relation
from verifier.profile.roles import BrokerRole, MongoRole, OpenIMRole, PostgresRole, RedisRole, Role
from verifier.stores.budget import Pause
from verifier.stores.builtin.statements import Before, StatementsSource
from verifier.stores.errors import Denied, StoreError
from verifier.stores.protocols import Observer, OrderedSource, Source, Store
from verifier.stores.skew import VERIFIER, Offset, apart, measure
from verifier.stores.statement_log import StatementLog

OPENIM_PREFIX = "openim."
OPENIM_MONGO, OPENIM_MONGO_PREFIX = "openim_mongo", "openim_mongo."
STATEMENTS, SETTINGS, MEDIA, TAP = "verifier.statements", "verifier.settings", "media.head", "broker.push_tap"
CANARY = "verifier.canary_messages"
"""Built-in relations beside the profile's: our own footprint, what the profile declares, HEAD requests to media, the operator's tap
queue, what canaries sent long ago."""


def make_store(name: str, role: Role, budget: StoreBudget | None = None) -> Store:
    """The store that speaks a role's protocol. Drivers are imported here, when they are needed."""
    budget = budget or StoreBudget()
    match role:
        case PostgresRole():
            from verifier.stores.postgres.store import PostgresStore

            return PostgresStore(name, role, budget)
        case MongoRole():
            from verifier.stores.mongo.store import MongoStore

            return MongoStore(name, role, budget)
        case RedisRole():
            from verifier.stores.redis.store import RedisStore

            return RedisStore(name, role, budget)
        case BrokerRole():
            from verifier.stores.rabbitmq.store import RabbitMQStore

            return RabbitMQStore(name, role, budget)
        case OpenIMRole():
            from verifier.stores.openim.store import OpenIMStore

            return OpenIMStore(name, role, budget)
        case _:
            raise NotMapped(f"store behind role {name!r}")


class Stores:
    """Hands out connected stores and the sources on them; `close` when the run is over."""

    def __init__(
        self,
        profile: Profile,
        *,
        refuse_writers: bool = True,
        pause: Pause | None = None,
        before: Before | None = None,
    ) -> None:
        self._profile = profile
        self._pause = pause
        self._before = before or Before()
        self._began = time.monotonic()
        self._media = StatementLog()
        self._refuse = refuse_writers
        self._stores: dict[str, Store] = {}
        self._all: dict[str, Store] = {}
        self._offsets: dict[str, Offset] = {}
        self._failures: dict[str, StoreError] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, role: str) -> Store:
        """The connected store of a role. Raises NotMapped without such a role, StoreError where it cannot be reached."""
        config = self._profile.roles.get(role)
        if config is None:
            raise NotMapped(f"role {role!r}")
        async with self._locks.setdefault(role, asyncio.Lock()):
            if role in self._failures:
                raise self._failures[role]
            if role not in self._stores:
                store = make_store(role, config, self._profile.budget(role))
                self._all[role] = store
                if self._pause is not None:
                    store.budget.pause = self._pause
                try:
                    await store.connect()
                    await self._refuse_writers(store, config)
                except StoreError as error:
                    self._failures[role] = error
                    await store.close()
                    raise
                self._stores[role] = store
                if (offset := await measure(store)) is not None:
                    self._offsets[role] = offset
            return self._stores[role]

    async def _refuse_writers(self, store: Store, config: Role) -> None:
        """A credential that could write has no place beside production, unless the profile says so."""
        if config.allow_writing_credential or not self._refuse:
            return
        writing = [item for item in await store.privileges() if item.state == "too_many"]
        if writing:
            raise Denied(
                f"{writing[0].store}: this credential can write ({writing[0].what}: {writing[0].detail}). Give the verifier one that "
                f"only reads, or set roles.{store.role}.allow_writing_credential = true."
            )

    async def source(self, rows: Rows) -> Source:
        """The records that `rows` describes."""
        if rows.relation.startswith(OPENIM_PREFIX):
            from verifier.stores.openim.source import OpenIMSource

            return OpenIMSource(await self._typed("openim"), rows.relation)
        if rows.relation.startswith(OPENIM_MONGO_PREFIX):
            from verifier.stores.openim.records import source_of

            return source_of(await self._typed(OPENIM_MONGO), rows)
        if rows.relation == CANARY:
            from verifier.stores.builtin.canary_messages import CanaryMessages

            return CanaryMessages(self._profile)
        if rows.relation == STATEMENTS:
            return StatementsSource(self.statement_logs, self._profile.budget, self._began, self._before)
        if rows.relation == SETTINGS:
            from verifier.stores.builtin.settings import SettingsSource

            return SettingsSource(self._profile)
        if rows.relation == MEDIA:
            from verifier.stores.builtin.media import MediaSource

            return MediaSource(self._profile.media, self._media)
        if rows.relation == TAP:
            queue = self._profile.queue("push_tap")
            tapped: Source = (await self._typed(queue.role)).tap(queue)
            return tapped
        relation = self._profile.relation(rows.relation, *rows.columns)
        virtual = rows.relation == "users" and "openim_user_id" not in relation.columns
        asked = rows
        if virtual and "openim_user_id" in rows.columns:
            names = dict.fromkeys("user_id" if name == "openim_user_id" else name for name in rows.columns)
            asked = Rows(rows.relation, tuple(names), rows.where)
        store: Any = await self.get(relation.role)
        inner: Source = store.source(relation, asked)
        if asked is rows:
            return inner
        if isinstance(inner, OrderedSource):
            return OrderedIdentitySource(inner, self._profile.identity)
        return IdentitySource(inner, self._profile.identity)

    async def observer(self, kind: str, target: str, columns: tuple[str, ...]) -> Observer:
        """What watches a relation, channel or queue of the profile for writes."""
        if kind == "relation":
            relation = self._profile.relation(target, *columns)
            store: Any = await self.get(relation.role)
            found: Relation | Channel | Queue = relation
        else:
            found = self._profile.channel(target) if kind == "channel" else self._profile.queue(target)
            store = await self.get(found.role)
        observer: Observer = store.observer(found, columns, self._profile.timing)
        return observer

    async def clock_of(self, relation: str) -> Callable[[], Awaitable[datetime]]:
        """The clock of the store that holds a relation."""
        if relation in (STATEMENTS, SETTINGS, MEDIA, CANARY):
            return _own_clock
        if relation == TAP:
            return (await self.get(self._profile.queue("push_tap").role)).clock
        if relation.startswith(OPENIM_MONGO_PREFIX):
            return (await self.get(OPENIM_MONGO)).clock
        role = "openim" if relation.startswith(OPENIM_PREFIX) else self._profile.relation(relation).role
        return (await self.get(role)).clock

    async def apart(self, clocks: Iterable[str], bound_s: float) -> str | None:
        """Which of these clocks (roles, and VERIFIER) differ by more than the bound; measured as a store is connected."""
        wanted = list(clocks)
        if len(wanted) < 2:
            return None
        for role in wanted:
            if role != VERIFIER:
                with suppress(StoreError, NotMapped):
                    await self.get(role)
        return apart(self._offsets, wanted, bound_s)

    def clock_note(self, bound_s: float) -> str | None:
        """For the report: which of all clocks that were looked at differ by more than the bound."""
        return apart(self._offsets, (VERIFIER, *self._offsets), bound_s)

    async def _typed(self, role: str) -> Any:
        return await self.get(role)

    @property
    def connected(self) -> dict[str, Store]:
        """The stores that were reached so far."""
        return dict(self._stores)

    def reads(self) -> dict[str, int]:
        """What was sent to each store so far: the verifier's own footprint."""
        return {role: statement_log.total for role, statement_log in self.statement_logs().items()}

    def statement_logs(self) -> dict[str, StatementLog]:
        """The footprint on each store that was reached, and on the media hosts where one was asked."""
        found = {role: store.statement_log for role, store in self._all.items()}
        return found | ({"media": self._media} if self._media.total else {})

    async def close(self) -> None:
        """Close every store."""
        await asyncio.gather(*(store.close() for store in self._stores.values()), return_exceptions=True)


async def _own_clock() -> datetime:
    return datetime.now(UTC)


class IdentitySource:
    """Adds the virtual column `openim_user_id`, computed from `user_id` by the profile's identity rule."""

    def __init__(self, inner: Source, identity: Identity) -> None:
        self._inner = inner
        self._identity = identity
        self.label = inner.label
        self.key = inner.key

    @property
    def queries(self) -> tuple[str, ...]:
        """The inner source's."""
        return self._inner.queries

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """The inner source's chunks, with the column added."""
        async for chunk in self._inner.chunks():
            yield [self._with_openim_id(row) for row in chunk]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """Look up by the virtual column, too, through the inverse mapping."""
        if column == "openim_user_id":
            column, values = "user_id", [back for value in values if (back := self._identity.from_openim(str(value)))]
        return [self._with_openim_id(row) for row in await self._inner.lookup(column, values)]

    def _with_openim_id(self, row: Row) -> Row:
        return {**row, "openim_user_id": self._identity.to_openim(row["user_id"])}


class OrderedIdentitySource(IdentitySource):
    """The same over a source with an order: the virtual column changes nothing in it."""

    def __init__(self, inner: OrderedSource, identity: Identity) -> None:
        super().__init__(inner, identity)
        self._ordered = inner

    @property
    def position(self) -> str | None:
        """The inner source's."""
        return self._ordered.position

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """The inner source's chunks, with the column added."""
        async for chunk in self._ordered.chunks(after):
            yield [self._with_openim_id(row) for row in chunk]
