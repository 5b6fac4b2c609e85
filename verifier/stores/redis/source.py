"""Records behind a Redis key pattern such as `im:token:{user_id}`: found by SCAN, read by type, decoded by codec.

A column is a `{placeholder}` of the pattern, a field of the decoded value (dotted path), or one of the built-ins
`@key @ttl_ms @idle_s @type @value @token @claim.NAME @header.NAME`. `ttl_ms` is None for a key without expiry.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any

import jwt

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Column, Relation
from verifier.stores.budget import ChunkSizer
from verifier.stores.convert import to_logical
from verifier.stores.redis.store import RedisStore

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_GLOB_SPECIAL = re.compile(r"([*?\[\]\\])")
_READERS = {
    "string": "GET",
    "hash": "HGETALL",
}


class KeyPattern:
    """A key pattern both ways: glob for SCAN, regular expression for the placeholders, and back to a key."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.names = _PLACEHOLDER.findall(pattern)
        pieces = _PLACEHOLDER.split(pattern)
        literals = pieces[0::2]
        self.glob = "*".join(_GLOB_SPECIAL.sub(r"\\\1", piece) for piece in literals)
        body = re.escape(literals[0])
        for index, (name, literal) in enumerate(zip(self.names, literals[1:], strict=True)):
            # All but the last placeholder stop at the separator that follows, so `a:{x}:{y}` reads the way people write it.
            wide = ".+" if index == len(self.names) - 1 or not literal else f"[^{re.escape(literal[0])}]+"
            body += f"(?P<{name}>{wide}){re.escape(literal)}"
        self._match = re.compile(body, re.DOTALL)

    def parse(self, key: str) -> dict[str, str] | None:
        """The placeholders' values, or None for another key."""
        found = self._match.fullmatch(key)
        return found.groupdict() if found else None

    def key(self, name: str, value: str) -> str | None:
        """The key for a value, where `name` is the only placeholder."""
        return self.pattern.replace(f"{{{name}}}", value) if self.names == [name] else None


class RedisSource:
    """One key pattern in one database index of one server."""

    def __init__(self, store: RedisStore, relation: Relation, rows: Rows) -> None:
        self._store = store
        self._relation = relation
        self._rows = rows
        self._pattern = KeyPattern(relation.keys or "")
        self.key = relation.key
        filtered = tuple(where.column for where in rows.where)
        self._columns = tuple(dict.fromkeys((*relation.key, *rows.columns, *filtered)))
        self.label = f"{rows.relation} ({store.role}: {relation.keys})"

    @property
    def queries(self) -> tuple[str, ...]:
        """The scan and the reads."""
        return (
            f"SCAN MATCH {self._pattern.glob} COUNT {self._store.config.chunk_rows}; TYPE, PTTL and GET/HGETALL of each",
        )

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Every key of the pattern; SCAN may name a key twice."""
        cursor: int | None = None
        sizer = ChunkSizer(self._store.limits, at_most=self._store.config.chunk_rows)
        while cursor != 0:
            cursor, keys = await sizer.take(functools.partial(self._scan, cursor or 0))
            if keys:
                yield await self._read([key if isinstance(key, bytes) else key.encode() for key in keys])

    async def _scan(self, cursor: int, count: int) -> tuple[int, list[bytes | str]]:
        command = self._store.client.scan(cursor, match=self._pattern.glob, count=count)
        found: tuple[int, list[bytes | str]] = await self._store.run(
            "SCAN", command, statement=f"SCAN MATCH {self._pattern.glob}"
        )
        return found

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records with these values: by key where the pattern allows it, by a scan otherwise."""
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
        client = self._store.client
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.type(key)
            pipeline.pttl(key)
        facts = await self._pipeline("TYPE, PTTL", pipeline.execute(), 2 * len(keys), len(keys)) if keys else []
        kinds = [_decode(kind) for kind in facts[0::2]]
        values = await self._values(keys, kinds)
        idle = await self._idle(keys)
        rows = []
        for key, kind, ttl, value, idle_s in zip(keys, kinds, facts[1::2], values, idle, strict=True):
            if kind == "none":
                continue
            row = self._row(_decode(key), kind, None if ttl < 0 else int(ttl), idle_s, value)
            if row is not None and all(where.accepts(row[where.column]) for where in self._rows.where):
                rows.append(row)
        return rows

    async def _pipeline(self, what: str, commands: Awaitable[list[Any]], count: int, rows: int) -> list[Any]:
        """One round trip; its normal form names the keys by their pattern."""
        statement = f"{what} of {self._pattern.glob}"
        return await self._store.run(what, commands, count=count, rows=rows, statement=statement)

    async def _values(self, keys: Sequence[bytes], kinds: Sequence[str]) -> list[Any]:
        if all(
            self._relation.columns[name].column.startswith(("{", "@key", "@ttl", "@type", "@idle"))
            for name in self._columns
        ):
            return [None] * len(keys)
        client = self._store.client
        pipeline = client.pipeline(transaction=False)
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
        """Seconds since each key was last touched, asked for only where a column needs it; None where the server cannot tell."""
        if all(self._relation.columns[name].column != "@idle_s" for name in self._columns):
            return [None] * len(keys)
        pipeline = self._store.client.pipeline(transaction=False)
        for key in keys:
            pipeline.object("IDLETIME", key)
        answers = await self._pipeline("OBJECT IDLETIME", pipeline.execute(raise_on_error=False), len(keys), 0)
        return [answer if isinstance(answer, int) else None for answer in answers]

    def _row(self, key: str, kind: str, ttl_ms: int | None, idle_s: int | None, value: Any) -> Row | None:
        placeholders = self._pattern.parse(key)
        if placeholders is None:
            return None
        record = _Record(
            {"@key": key, "@type": kind, "@ttl_ms": ttl_ms, "@idle_s": idle_s}, value, placeholders, self._relation
        )
        return {name: record.column(self._relation.columns[name]) for name in self._columns}


class _Record:
    """One key, decoded as far as its columns need."""

    def __init__(
        self, built_in: Mapping[str, Any], value: Any, placeholders: Mapping[str, str], relation: Relation
    ) -> None:
        self.built_in = built_in
        self.placeholders = placeholders
        self.raw = {_decode(k): _decode(v) for k, v in value.items()} if isinstance(value, dict) else value
        self.text = None if value is None or isinstance(value, dict) else _decode(value)
        self.fields = self._decode_fields(relation)
        self.token = self._token(relation)

    def _decode_fields(self, relation: Relation) -> Mapping[str, Any]:
        if isinstance(self.raw, dict):
            return self.raw
        if relation.codec != "json" or self.text is None:
            return {}
        try:
            decoded = json.loads(self.text)
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}

    def _token(self, relation: Relation) -> str | None:
        if relation.codec == "json" and relation.jwt_path:
            found = _dig(self.fields, relation.jwt_path)
            return found if isinstance(found, str) else None
        return self.text

    def column(self, column: Column) -> Any:
        where = column.column
        if where.startswith("{"):
            return self.placeholders.get(where[1:-1])
        if where in self.built_in:
            return self.built_in[where]
        if where == "@value":
            return self.text if self.text is not None else self.raw
        if where == "@token":
            return self.token
        if where.startswith(("@claim.", "@header.")):
            part, _, name = where[1:].partition(".")
            return to_logical(column, token_part(self.token, part).get(name))
        return to_logical(column, _dig(self.fields, where))


def token_part(token: str | None, part: str) -> Mapping[str, Any]:
    """The claims (`claim`) or header of a JWT, read without the secret; empty where it is none."""
    try:
        if part == "header":
            return jwt.get_unverified_header(token or "")
        return jwt.decode(token or "", options={"verify_signature": False, "verify_exp": False, "verify_iat": False})
    except (jwt.InvalidTokenError, ValueError):
        return {}


def _dig(fields: Mapping[str, Any], path: str) -> Any:
    found: Any = fields
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _decode(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
