"""Records of a Redis key pattern such as `im:token:{user_id}`: found by SCAN, read by type, decoded by codec."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.stores.budget import ChunkSizer
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.values import KeyPattern, Record, decode

_READERS = {
    "string": "GET",
    "hash": "HGETALL",
}


class RedisSource:
    """One key pattern in one database index. Columns are described in `verifier.stores.redis.values`."""

    def __init__(self, client: RedisClient, relation: Relation, rows: Rows) -> None:
        self._client = client
        self._relation = relation
        self._rows = rows
        self._pattern = KeyPattern(relation.keys or "")
        self.key = relation.key
        filtered = tuple(where.column for where in rows.where)
        self._columns = tuple(dict.fromkeys((*relation.key, *rows.columns, *filtered)))
        self.label = f"{rows.relation} ({client.role}: {relation.keys})"

    @property
    def queries(self) -> tuple[str, ...]:
        """The scan and the reads."""
        return (
            f"SCAN MATCH {self._pattern.glob} COUNT {self._client.config.chunk_rows}; TYPE, PTTL and GET/HGETALL of each",
        )

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All keys of the pattern. SCAN may return a key twice."""
        cursor: int | None = None
        sizer = ChunkSizer(self._client.limits, at_most=self._client.config.chunk_rows)
        while cursor != 0:
            cursor, keys = await sizer.take(functools.partial(self._scan, cursor or 0))
            if keys:
                yield await self._read([key if isinstance(key, bytes) else key.encode() for key in keys])

    async def _scan(self, cursor: int, count: int) -> tuple[int, list[bytes | str]]:
        command = self._client.driver.scan(cursor, match=self._pattern.glob, count=count)
        found: tuple[int, list[bytes | str]] = await self._client.run(
            "SCAN", command, statement=f"SCAN MATCH {self._pattern.glob}"
        )
        return found

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records with these values: by key where the pattern has only this placeholder, otherwise by a scan."""
        mapped = self._relation.columns[column].column
        if mapped == "@key":
            return await self._read([str(value).encode() for value in values])
        name = mapped[1:-1] if mapped.startswith("{") else ""
        keys = [self._pattern.key(name, str(value)) for value in values]
        if all(keys):
            return await self._read([key.encode("utf-8", "surrogateescape") for key in keys if key])
        wanted = {str(value) for value in values}
        return [row async for chunk in self.chunks() for row in chunk if str(row[column]) in wanted]

    async def _read(self, keys: Sequence[bytes]) -> list[Row]:
        driver = self._client.driver
        pipeline = driver.pipeline(transaction=False)
        for key in keys:
            pipeline.type(key)
            pipeline.pttl(key)
        facts = await self._pipeline("TYPE, PTTL", pipeline.execute(), 2 * len(keys), len(keys)) if keys else []
        kinds = [decode(kind) for kind in facts[0::2]]
        values = await self._values(keys, kinds)
        idle = await self._idle(keys)
        rows = []
        for key, kind, ttl, value, idle_s in zip(keys, kinds, facts[1::2], values, idle, strict=True):
            if kind == "none":
                continue
            row = self._row(decode(key), kind, None if ttl < 0 else int(ttl), idle_s, value)
            if row is not None and all(where.accepts(row[where.column]) for where in self._rows.where):
                rows.append(row)
        return rows

    async def _pipeline(self, what: str, commands: Awaitable[list[Any]], count: int, rows: int) -> list[Any]:
        """One round trip. Its normal form names the pattern and not the keys."""
        statement = f"{what} of {self._pattern.glob}"
        return await self._client.run(what, commands, count=count, rows=rows, statement=statement)

    async def _values(self, keys: Sequence[bytes], kinds: Sequence[str]) -> list[Any]:
        if all(
            self._relation.columns[name].column.startswith(("{", "@key", "@ttl", "@type", "@idle"))
            for name in self._columns
        ):
            return [None] * len(keys)
        driver = self._client.driver
        pipeline = driver.pipeline(transaction=False)
        readable = [index for index, kind in enumerate(kinds) if kind in _READERS]
        for index in readable:
            pipeline.execute_command(_READERS[kinds[index]], keys[index])
        values: list[Any] = [None] * len(keys)
        if readable:
            for index, value in zip(
                readable,
                await self._pipeline("GET, HGETALL", pipeline.execute(raise_on_error=False), len(readable), 0),
                strict=True,
            ):
                values[index] = None if isinstance(value, Exception) else value
        return values

    async def _idle(self, keys: Sequence[bytes]) -> list[int | None]:
        """Idle seconds of each key, read only where a column needs it; None where the server does not keep them."""
        if all(self._relation.columns[name].column != "@idle_s" for name in self._columns):
            return [None] * len(keys)
        pipeline = self._client.driver.pipeline(transaction=False)
        for key in keys:
            pipeline.object("IDLETIME", key)
        answers = await self._pipeline("OBJECT IDLETIME", pipeline.execute(raise_on_error=False), len(keys), 0)
        return [answer if isinstance(answer, int) else None for answer in answers]

    def _row(self, key: str, kind: str, ttl_ms: int | None, idle_s: int | None, value: Any) -> Row | None:
        placeholders = self._pattern.parse(key)
        if placeholders is None:
            return None
        record = Record(
            {"@key": key, "@type": kind, "@ttl_ms": ttl_ms, "@idle_s": idle_s}, value, placeholders, self._relation
        )
        return {name: record.column(self._relation.columns[name]) for name in self._columns}
