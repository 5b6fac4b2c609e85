"""Records of a Redis key pattern such as `im:token:{user_id}`: found by SCAN, read by type, decoded by codec."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from redis import exceptions

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.stores.errors import Denied, PartialAnswer
from verifier.stores.protocols import Completeness
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.keys import KeyPattern, Match, is_foreign, key_bytes, key_text, place_text, places_of
from verifier.stores.redis.places import Place, Places, all_places, own_places, scan
from verifier.stores.redis.reading import Reading, account
from verifier.stores.redis.values import BUILT_IN, Record, conditions

_READERS = {
    "string": "GET",
    "hash": "HGETALL",
}
_MOVED = (exceptions.MovedError, exceptions.AskError, exceptions.TryAgainError, exceptions.ClusterDownError)
PLACE = "@place"
"""In a row of `Rows.everywhere`: where a key is that is not under the pattern in the role's own index."""


class RedisSource:
    """One key pattern in the role's database index, on every shard. Columns are described in `verifier.stores.redis.values`.

    With `Rows.everywhere`, also in every other index, behind prefixes and inside the wrappings of serialisers, without what
    `inventory.foreign_keys` declares.
    """

    def __init__(self, client: RedisClient, relation: Relation, rows: Rows) -> None:
        self._client = client
        self._relation = relation
        self._rows = rows
        self._pattern = KeyPattern(relation.keys or "")
        self.key = relation.key
        filtered = tuple(where.column for where in rows.where)
        self._columns = tuple(dict.fromkeys((*relation.key, *rows.columns, *filtered)))
        self.label = f"{rows.relation} ({client.role}: {relation.keys})"
        self._conditions = conditions(relation, self.label)
        self._needed = (*(relation.columns[name].column for name in self._columns), *self._conditions)
        self._reads_values = not all(column.startswith(BUILT_IN) for column in self._needed)
        self._glob = self._pattern.widest_glob if rows.everywhere else self._pattern.wide_glob
        self.reading = Reading()

    @property
    def queries(self) -> tuple[str, ...]:
        """The scan and the reads."""
        return (f"SCAN MATCH {self._glob} COUNT {self._client.config.chunk_rows}; TYPE, PTTL and GET/HGETALL of each",)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All keys of the pattern, server by server. SCAN may return a key twice."""
        self.reading = reading = Reading()
        reading.layout = await self._client.layout(fresh=True)
        places = await self.places()
        reading.unread = places.unread
        delivered = 0
        for place in (*places.own, *places.others):
            async for keys in scan(self._client, place, self._glob):
                matched = [(key, match) for key in keys if (match := self._match(place, key, reading)) is not None]
                if rows := await self._read(place, matched, reading):
                    delivered += len(rows)
                    yield rows
        if reading.refused and not delivered:
            raise Denied(
                f"{self._client.label}: the ACL user may list keys like {self._relation.keys} and read none of them. Grant it "
                f"the key pattern (for example %R~{self._pattern.glob})."
            )

    async def places(self) -> Places:
        """Where the records are."""
        return await (all_places if self._rows.everywhere else own_places)(self._client)

    async def survey(self) -> None:
        """Read the names of all keys, which tell whether some that look-ups miss are there in a serialiser's wrapping."""
        self.reading.layout = await self._client.layout(fresh=True)
        for place in (await self.places()).own:
            async for keys in scan(self._client, place, self._glob):
                for key in keys:
                    self._match(place, key, self.reading)

    async def completeness(self) -> Completeness:
        """What may hide keys or values here. The server has no count of a pattern's keys."""
        return await account(self._client, self.reading, everywhere=self._rows.everywhere)

    def _match(self, place: Place, key: bytes, reading: Reading) -> Match | None:
        match = self._pattern.find(key)
        if match is None:
            return None
        if not self._rows.everywhere:
            reading.wrapped += match.how == "serialised"
            reading.namespaced += match.how in ("prefixed", "bare")
            return match if match.how == "exact" else None
        return None if is_foreign(self._client.foreign_keys, place.index, key_text(key)) else match

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records with these values: by key where the pattern has only this placeholder, otherwise by a scan.

        Raises PartialAnswer where some keys are refused, are being moved, or have values that cannot be read.
        """
        mapped = self._relation.columns[column].column
        home = self._client.index
        if mapped == "@key":
            return await self.by_name([str(value) for value in values])
        name = mapped[1:-1] if mapped.startswith("{") else ""
        keys = [self._pattern.key(name, str(value)) for value in values]
        if all(keys) and not self._rows.everywhere:
            found = [(value, (home, key_bytes(key))) for value, key in zip(values, keys, strict=True) if key]
            return await self._fetch(found)
        texts = {str(value) for value in values}
        rows = [row async for chunk in self.chunks() for row in chunk if str(row[column]) in texts]
        self._whole(rows, values)
        return rows

    async def by_name(self, names: Sequence[str]) -> Sequence[Row]:
        """The records of keys by their names as `@key` gives them."""
        return await self._fetch([(name, place) for name in names for place in places_of(name, self._client.index)])

    def _whole(self, rows: list[Row], values: Sequence[Any]) -> None:
        reading = self.reading
        if reading.refused or reading.moved or reading.unreadable:
            found = {str(row[name]) for row in rows for name in row}
            missing = [value for value in values if str(value) not in found]
            if missing:
                raise PartialAnswer(f"{self.label}: some keys cannot be read, so these may exist.", rows, missing)

    async def _fetch(self, wanted: Sequence[tuple[Any, tuple[int, bytes]]]) -> list[Row]:
        """The records at known places. Where a node answers that a key has moved, the layout is read again, once."""
        rows: list[Row] = []
        unanswered: dict[int, Any] = {}
        pending = list(enumerate(wanted))
        for _ in range(2):
            by_place: dict[Place, list[tuple[int, bytes]]] = {}
            for number, (_value, (index, key)) in pending:
                by_place.setdefault(Place(await self._client.node_of(key), index), []).append((number, key))
            moved: list[int] = []
            for place, keys in by_place.items():
                matched = [(key, match, number) for number, key in keys if (match := self._pattern.find(key))]
                lost: dict[bytes, str] = {}
                rows += await self._read(place, [(key, match) for key, match, _ in matched], Reading(), lost)
                for key, _match, number in matched:
                    if lost.get(key) == "moved":
                        moved.append(number)
                    elif key in lost:
                        unanswered[number] = wanted[number][0]
            pending = [(number, wanted[number]) for number in moved]
            if not pending:
                break
            self._client.forget_layout()
        unanswered |= {number: value for number, (value, _) in pending}
        if unanswered:
            message = (
                f"{self.label}: {len(unanswered)} of {len(wanted)} keys were not answered (no access, or being moved)."
            )
            raise PartialAnswer(message, rows, list(unanswered.values()))
        return rows

    async def _read(
        self,
        place: Place,
        matched: Sequence[tuple[bytes, Match]],
        reading: Reading,
        lost: dict[bytes, str] | None = None,
    ) -> list[Row]:
        """The rows of some keys; keys about which nothing is known are counted, and put into `lost` with the reason."""
        lost = {} if lost is None else lost
        keys = [key for key, _ in matched]
        facts = await self._ask(
            place, "TYPE, PTTL", [c for key in keys for c in (("TYPE", key), ("PTTL", key))], len(keys)
        )
        kinds = ["" if _failed(kind) else key_text(kind) for kind in facts[0::2]]
        values = await self._values(place, keys, kinds)
        idle = await self._idle(place, keys)
        rows = []
        for (key, match), kind, answers in zip(
            matched, kinds, zip(facts[0::2], facts[1::2], values, idle, strict=True), strict=True
        ):
            if (reason := _lost(answers[:3], reading)) is not None:
                lost[key] = reason
            elif kind != "none":
                row = self._row(place, key, match, kind, answers[1:], reading)
                if row is None:
                    lost[key] = "unreadable"
                elif row and all(where.accepts(row[where.column]) for where in self._rows.where):
                    rows.append(row)
        return rows

    async def _ask(self, place: Place, what: str, commands: Sequence[tuple[Any, ...]], rows: int) -> list[Any]:
        """One round trip, with errors among the answers. Its normal form names the pattern and not the keys."""
        if not commands:
            return []
        pipeline = place.driver.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await place.node.run(
            what,
            pipeline.execute(raise_on_error=False),
            count=len(commands),
            rows=rows,
            statement=f"{what} of {self._pattern.glob}",
        )
        for answer in answers:
            harmless = (*_MOVED, exceptions.NoPermissionError, exceptions.ResponseError)
            if isinstance(answer, exceptions.RedisError) and not isinstance(answer, harmless):
                raise place.node.translate(answer)
        return answers

    async def _values(self, place: Place, keys: Sequence[bytes], kinds: Sequence[str]) -> list[Any]:
        values: list[Any] = [None] * len(keys)
        if not self._reads_values:
            return values
        readable = [index for index, kind in enumerate(kinds) if kind in _READERS]
        commands = [(_READERS[kinds[index]], keys[index]) for index in readable]
        for index, value in zip(readable, await self._ask(place, "GET, HGETALL", commands, 0), strict=True):
            values[index] = value
        return values

    async def _idle(self, place: Place, keys: Sequence[bytes]) -> list[int | None]:
        """Idle seconds of each key, read only where a column needs it; None where the server does not keep them."""
        if "@idle_s" not in self._needed:
            return [None] * len(keys)
        answers = await self._ask(place, "OBJECT IDLETIME", [("OBJECT", "IDLETIME", key) for key in keys], 0)
        return [answer if isinstance(answer, int) else None for answer in answers]

    def _row(
        self, place: Place, key: bytes, match: Match, kind: str, answers: Sequence[Any], reading: Reading
    ) -> Row | None:
        """The row of a key; empty where it does not belong to the relation, None where its value cannot be read."""
        ttl, value, idle_s = answers
        name = place_text(place.index, self._client.index, key_text(key))
        ttl_ms = int(ttl) if isinstance(ttl, int) and ttl >= 0 else None
        built_in = {"@key": name, "@type": kind, "@ttl_ms": ttl_ms, "@idle_s": idle_s}
        wrong_type = isinstance(value, exceptions.ResponseError)  # the type changed between the two round trips
        if kind in _READERS and self._reads_values and value in (None, {}):
            return {}  # it expired, or was deleted, between the two round trips
        record = Record(built_in, None if wrong_type else value, match.placeholders, self._relation)
        why = record.unreadable_for(self._needed)
        if why:
            reading.unreadable[f"a {kind}" if kind not in _READERS else why] += 1
            return None
        if not record.meets(self._conditions):
            return {}
        row = {column: record.column(self._relation.columns[column]) for column in self._columns}
        if self._rows.everywhere and (match.how != "exact" or place.index != self._client.index):
            row[PLACE] = f"{place.name}, key {key_text(key)}"
        return row


def _lost(answers: Iterable[Any], reading: Reading) -> str | None:
    """Why nothing is known about a key, from its answers; counted."""
    for answer in answers:
        if isinstance(answer, _MOVED):
            reading.moved += 1
            return "moved"
        if isinstance(answer, exceptions.NoPermissionError):
            reading.refused += 1
            return "refused"
    return None


def _failed(answer: Any) -> bool:
    return isinstance(answer, exceptions.RedisError)
