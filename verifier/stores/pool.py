"""The stores of one run: each is connected when it is first needed, and a failure to connect is kept for the rest of the
run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from verifier.model.query import Rows
from verifier.profile.budgets import StoreBudget
from verifier.profile.errors import NotMapped
from verifier.profile.models import Profile
from verifier.profile.relations import HOME, Channel, Queue, Relation
from verifier.profile.roles import BrokerRole, MongoRole, OpenIMRole, PostgresRole, RedisRole, Role
from verifier.profile.timing import Timing
from verifier.stores.budget import Pause
from verifier.stores.builtin.statements import EarlierRuns
from verifier.stores.builtin.table import BUILT_IN
from verifier.stores.derived import EXPIRES_AT, with_expiry, without_expiry
from verifier.stores.errors import Denied, Missing, StoreError
from verifier.stores.identity import OPENIM_USER_ID, with_openim_id
from verifier.stores.protocols import Completeness, Observer, Source, Store
from verifier.stores.skew import VERIFIER, Offset, apart, measure
from verifier.stores.statement_log import StatementLog
from verifier.stores.union import UnionSource


def make_store(
    name: str,
    role: Role,
    budget: StoreBudget | None = None,
    timing: Timing | None = None,
    foreign_keys: tuple[str, ...] = (),
) -> Store:
    """The store for a role of the profile, not connected yet. Its driver is imported here, when it is needed.

    `foreign_keys`: patterns of Redis keys that belong to others.
    """
    budget, timing = budget or StoreBudget(), timing or Timing()
    match role:
        case PostgresRole():
            from verifier.stores.postgres.store import PostgresStore

            return PostgresStore(name, role, budget, lag_max_s=timing.settle_s)
        case MongoRole():
            from verifier.stores.mongo.store import MongoStore

            return MongoStore(name, role, budget)
        case RedisRole():
            from verifier.stores.redis.store import RedisStore

            return RedisStore(name, role, budget, foreign_keys)
        case BrokerRole():
            from verifier.stores.rabbitmq.store import RabbitMQStore

            return RabbitMQStore(name, role, budget)
        case OpenIMRole():
            from verifier.stores.openim.store import OpenIMStore

            return OpenIMStore(name, role, budget)
        case _:
            raise NotMapped(f"roles.{name}")


class Stores:
    """The connected stores of one run, and the sources and observers on them; call `close` when the run is over.

    `refuse_writers`: refuse a credential that can write, unless the profile allows it. `pause`: the pause file that all
    stores share. `earlier`: what runs before this one sent, for relation `verifier.statements`. `accounts`: what the sources of
    this run said about their completeness, by label.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        refuse_writers: bool = True,
        pause: Pause | None = None,
        earlier: EarlierRuns | None = None,
    ) -> None:
        self.profile = profile
        self.earlier = earlier or EarlierRuns()
        self.began_s = time.monotonic()
        self.media_log = StatementLog()
        self.accounts: dict[str, Completeness] = {}
        self._pause = pause
        self._refuse = refuse_writers
        self._stores: dict[str, Store] = {}
        self._all: dict[str, Store] = {}
        self._offsets: dict[str, Offset] = {}
        self._failures: dict[str, StoreError] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, role: str) -> Any:
        """The connected store of a role.

        Raises NotMapped where the profile has no such role, StoreError where the store cannot be reached or its
        credential is refused; the same error again for every later call.
        """
        config = self.profile.roles.get(role)
        if config is None:
            raise NotMapped(f"roles.{role}")
        async with self._locks.setdefault(role, asyncio.Lock()):
            if role in self._failures:
                raise self._failures[role]
            if role not in self._stores:
                budget, foreign_keys = self.profile.budget(role), self.profile.inventory.foreign_keys
                store = make_store(role, config, budget, self.profile.timing, foreign_keys)
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
        """Raise Denied for a credential that can write, unless the profile allows it."""
        if config.allow_writing_credential or not self._refuse:
            return
        writing = [item for item in await store.privileges() if item.state == "too_many"]
        if writing:
            raise Denied(
                f"{writing[0].store}: this credential can write ({writing[0].what}: {writing[0].detail}). Give the verifier one that "
                f"only reads, or set roles.{store.role}.allow_writing_credential = true."
            )

    async def source(self, rows: Rows) -> Source:
        """The records that `rows` describes, of a built-in relation or one of the profile."""
        if (built_in := BUILT_IN.get(rows.relation)) is not None:
            return await built_in.make(self, built_in, rows)
        rows = with_filters(rows)
        relation = self._mapped(rows)
        if relation.homes:
            return UnionSource(
                [await self.source(replace(rows, relation=home)) for home in self.profile.homes(rows.relation)]
            )
        store = await self.get(relation.role)
        if relation.lifetime_s is not None:
            return with_expiry(store.source(relation, without_expiry(rows, relation.lifetime_s)), relation.lifetime_s)
        virtual = rows.relation.partition(HOME)[0] == "users" and OPENIM_USER_ID not in relation.columns
        if not (virtual and OPENIM_USER_ID in rows.columns):
            source: Source = store.source(relation, rows)
            return source
        names = dict.fromkeys("user_id" if name == OPENIM_USER_ID else name for name in rows.columns)
        return with_openim_id(store.source(relation, replace(rows, columns=tuple(names))), self.profile.identity)

    def _mapped(self, rows: Rows) -> Relation:
        """The relation, with all columns that are read or compared. Raises NotMapped; Missing where nothing says when a record
        ends, because then nobody knows which records count."""
        self.profile.relation(rows.relation)
        if EXPIRES_AT in rows.columns and not self.profile.has(rows.relation, EXPIRES_AT):
            raise Missing(
                f"relation {rows.relation} of the profile does not say when its records end. Map its column {EXPIRES_AT}, or set "
                f"relations.{rows.relation}.lifetime_s, the seconds after created_at."
            )
        return self.profile.relation(rows.relation, *rows.columns)

    async def observer(self, kind: str, target: str, columns: tuple[str, ...]) -> Observer:
        """The observer of a `relation`, `channel` or `queue` of the profile."""
        found: Relation | Channel | Queue
        if kind == "relation":
            found = self.profile.relation(target, *columns)
        else:
            found = self.profile.channel(target) if kind == "channel" else self.profile.queue(target)
        observer: Observer = (await self.get(found.role)).observer(found, columns, self.profile.timing)
        return observer

    async def clock_of(self, relation: str) -> Callable[[], Awaitable[datetime]]:
        """The clock of the store that holds a relation; the verifier's own for what no store holds."""
        if (built_in := BUILT_IN.get(relation)) is not None:
            role = built_in.role_in(self.profile)
        else:
            role = self.profile.relation(relation).role
        if role is None:
            return _own_clock
        clock: Callable[[], Awaitable[datetime]] = (await self.get(role)).clock
        return clock

    async def apart(self, clocks: Iterable[str], bound_s: float) -> str | None:
        """Which of these clocks (roles, or VERIFIER) differ by more than the bound; measured when a store is connected."""
        wanted = list(clocks)
        if len(wanted) < 2:
            return None
        for role in wanted:
            if role != VERIFIER:
                with suppress(StoreError, NotMapped):
                    await self.get(role)
        return apart(self._offsets, wanted, bound_s)

    def clock_note(self, bound_s: float) -> str | None:
        """For the report: which of all measured clocks differ by more than the bound."""
        return apart(self._offsets, (VERIFIER, *self._offsets), bound_s)

    @property
    def connected(self) -> dict[str, Store]:
        """The stores that are connected, by role."""
        return dict(self._stores)

    def reads(self) -> dict[str, int]:
        """How many statements were sent to each store."""
        return {role: statement_log.total for role, statement_log in self.statement_logs().items()}

    def statement_logs(self) -> dict[str, StatementLog]:
        """The statement log of each store that was connected, and `media` where a media host was asked."""
        found = {role: store.statement_log for role, store in self._all.items()}
        return found | ({"media": self.media_log} if self.media_log.total else {})

    async def close(self) -> None:
        """Close every store."""
        await asyncio.gather(*(store.close() for store in self._stores.values()), return_exceptions=True)


def with_filters(rows: Rows) -> Rows:
    """`rows` with the columns of its conditions, so that a proof sees values that pass because they cannot be read."""
    filtered = tuple(where.column for where in rows.where if where.column not in rows.columns)
    return replace(rows, columns=(*rows.columns, *dict.fromkeys(filtered)))


async def _own_clock() -> datetime:
    return datetime.now(UTC)
