"""Has anything been written to a collection? By its change stream, or by what its records and counters still tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId, Timestamp

from verifier.model.invariant import Row
from verifier.profile.relations import Column, Relation
from verifier.stores.convert import to_stored
from verifier.stores.errors import ContinuityLost, Denied, StoreError
from verifier.stores.mongo.client import CollectionFacts, Document, MongoClient
from verifier.stores.mongo.source import all_of, by_id, projection, relation_filter
from verifier.stores.mongo.stream import NoStream, Place, changes, place_now
from verifier.stores.mongo.values import as_json, logical, to_row
from verifier.stores.protocols import CounterSnapshot, Observer, Witness

PRE_IMAGES_SINCE_WIRE = 17  # MongoDB 6.0
_ID = Column(column="_id")
_OPERATIONS = {"replace": "update", "dropDatabase": "drop"}
_TIMES = ("timestamp", "epoch_s", "epoch_ms")
_FILTER_UNSEEN = (
    "whether a changed record passes the relation's `where`: its operators need whole documents, so all are told"
)


class MongoObserver(Observer):
    """Watches one collection.

    With a change stream (replica set or sharded cluster) the stream alone is complete: it needs no counter, survives
    restarts, and its resume token proves that nothing is missing. Then `counters` is empty and the caller counts the
    witnesses, and `complete` is True. Without one, records whose own time is later are soft witnesses, and the collection's write counter
    (`$collStats.latencyStats`) is given where it was seen to move: on some servers it answers and stays 0.
    """

    unseen: tuple[str, ...] = (
        "updates in place",
        "deletes, and inserts that were deleted again",
        "inserts with a back-dated time",
    )

    def __init__(self, client: MongoClient, relation: Relation, columns: tuple[str, ...] = ()) -> None:
        self._client = client
        self._relation = relation
        self._columns = tuple(dict.fromkeys((*relation.key, *columns)))
        self._collection = relation.collection or ""
        self.label = f"{client.role}: {client.config.database}.{self._collection}"
        self._where = relation_filter(client, relation)
        self._event_filter = _prefixed(self._where)
        self.complete = False

    @property
    def queries(self) -> tuple[str, ...]:
        """The stream, in the shell's language."""
        return (f"db.getCollection({as_json(self._collection)}).watch({as_json(self._pipeline())})",)

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """Where the collection stands; `settled` changes nothing, for a stream has no lag to wait for.

        A collection that is not there is a reading, not an error: nothing is written to it. The stream also goes on across
        a drop and tells it, so only the fall-back needs the collection itself as a token (`absent` where there is none).
        """
        facts = await self._facts()
        try:
            if facts.kind in ("view", "timeseries"):
                raise NoStream(f"the collection is a {facts.kind}")
            place = await place_now(self._client, self._collection)
        except NoStream as reason:
            self.complete = False
            return await self._reading_without_stream(facts, str(reason))
        self.complete = True
        hello = await self._client.hello()
        continuity = {"history": f"change stream of {hello.get('setName') or 'a sharded cluster'}"}
        limitations = () if self._event_filter is not None else (_FILTER_UNSEEN,)
        return CounterSnapshot(at=_at(hello), continuity=continuity, position=place.to_text(), limitations=limitations)

    async def _facts(self) -> CollectionFacts:
        try:
            return await self._client.facts(self._collection)
        except Denied:
            return CollectionFacts("unknown")

    async def _reading_without_stream(self, facts: CollectionFacts, reason: str) -> CounterSnapshot:
        hello = await self._client.hello()
        process = (hello.get("topologyVersion") or {}).get("processId", "")
        continuity = {
            "collection": facts.uuid or facts.kind,
            "history": f"records and counters of {hello.get('me', 'this server')} {process}".rstrip(),
        }
        counters, why_none = await self._live_counter(hello, facts)
        limitations = (f"everything that only a change stream shows ({reason})", *why_none)
        weak = "" if counters else f"there is no change stream ({reason}) and {'; '.join(why_none)}"
        return CounterSnapshot(
            at=_at(hello), continuity=continuity, counters=counters, limitations=limitations, inconclusive_because=weak
        )

    async def _live_counter(
        self, hello: Mapping[str, Any], facts: CollectionFacts
    ) -> tuple[dict[str, int], tuple[str, ...]]:
        """The collection's write counter, if a read of ours moves the read counter beside it."""
        if hello.get("msg") == "isdbgrid":
            return {}, ("no write counter: each shard counts for itself",)
        if facts.kind != "collection":
            return {}, (f"no write counter: the collection is {facts.kind}",)
        try:
            before = await self._latency_stats()
            await self._client.find(self._collection, {}, projection={"_id": 1}, limit=1)
            after = await self._latency_stats()
        except StoreError as error:
            return {}, (f"no write counter: {error}",)
        if _ops(after, "reads") <= _ops(before, "reads"):
            return {}, ("no write counter: the server's does not move, not even for a read",)
        return {"write": _ops(after, "writes")}, ()

    async def _latency_stats(self) -> Document:
        found = await self._client.aggregate(self._collection, [{"$collStats": {"latencyStats": {}}}])
        return dict(found[0].get("latencyStats") or {}) if found else {}

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Every write between two readings, in order; one at the very edge may come in two runs, never in none.

        Raises ContinuityLost where the stream cannot be followed from `before`. Without a `before` there is nothing to tell.
        """
        if before is None:
            return
        if bool(before.position) != bool(now.position):
            raise ContinuityLost(
                f"{self._client.label}: the change stream of {self._collection} was there at one look and not at the other"
                f"{' (' + now.limitations[0] + ')' if now.limitations else ''}. Take a new baseline."
            )
        found = self._streamed(before, now) if before.position else self._recent(before)
        async for witness in found:
            yield witness

    async def _streamed(self, before: CounterSnapshot, now: CounterSnapshot) -> AsyncIterator[Witness]:
        options: dict[str, Any] = {}
        if any(self._relation.columns[name].column != "_id" for name in self._columns):
            options["full_document"] = "updateLookup"
            if self._client.max_wire_version >= PRE_IMAGES_SINCE_WIRE:
                options["full_document_before_change"] = "whenAvailable"
        events = changes(
            self._client,
            self._collection,
            self._pipeline(),
            start=Place.from_text(before.position),
            fence=Place.from_text(now.position).fence,
            options=options,
        )
        async for event in events:
            yield self._witness(event)

    def _witness(self, event: Mapping[str, Any]) -> Witness:
        """An event as a witness. Columns that an event without its document does not tell are left out of the row."""
        operation = event["operationType"]
        key = event.get("documentKey") or {}
        document = event.get("fullDocument") or event.get("fullDocumentBeforeChange")
        known = [name for name in self._columns if document or self._relation.columns[name].column in key]
        row = to_row(self._relation, known, {**key, **(document or {})})
        return Witness(
            operation=_OPERATIONS.get(operation, operation),
            key=self._key(row, key) or _names(event),
            row=row,
            how="change stream",
            written_at=_written_at(event),
        )

    def _key(self, row: Row, document_key: Mapping[str, Any]) -> str:
        """The relation's own key where the row tells it, so that all techniques name a record alike; else its `_id`."""
        if self._relation.key[0] in row:
            return " / ".join(str(row.get(name)) for name in self._relation.key)
        return str(logical(_ID, document_key["_id"])) if document_key else ""

    def _pipeline(self) -> list[dict[str, Any]]:
        """Only records that the relation's `where` keeps, and of them only the fields that judges look at.

        An event without a document (a delete, a drop, a record gone since) passes: nobody can say that it is a neighbour's.
        """
        stages: list[dict[str, Any]] = []
        if self._event_filter:
            stages.append({"$match": {"$or": [{"fullDocument": None}, self._event_filter]}})
        kept = ("operationType", "ns", "to", "documentKey", "clusterTime", "wallTime")
        fields: dict[str, Any] = dict.fromkeys(kept, 1)
        for prefix in ("fullDocument.", "fullDocumentBeforeChange."):
            fields |= projection(self._relation, self._columns, prefix)
        return [*stages, {"$project": fields}]

    async def _recent(self, before: CounterSnapshot) -> AsyncIterator[Witness]:
        """Records whose ObjectId or time columns are later than the last look."""
        times = {name: column for name, column in self._relation.columns.items() if column.type in _TIMES}
        columns = tuple(dict.fromkeys((*self._columns, *times)))
        # An ObjectId holds whole seconds: the second of the look itself cannot be told from before it.
        first_id = ObjectId.from_datetime(before.at + timedelta(seconds=1))
        later: list[dict[str, Any]] = [{"_id": {"$gte": first_id}}]
        later += [{column.column: {"$gt": to_stored(column, before.at)}} for column in times.values()]
        fields = projection(self._relation, columns)
        async for chunk, _ in by_id(self._client, self._collection, all_of([self._where, {"$or": later}]), fields):
            for document in chunk:
                yield self._soft_witness(document, to_row(self._relation, columns, document), times, before.at)

    def _soft_witness(
        self, document: Document, row: Mapping[str, Any], times: Mapping[str, Column], at: datetime
    ) -> Witness:
        own, by_columns = document["_id"], [row[name] for name in times if _later(row[name], at)]
        made_at = own.generation_time if isinstance(own, ObjectId) else None
        new = made_at is None or made_at > at
        return Witness(
            operation="insert" if new else "update",
            key=self._key(row, document),
            row={name: row[name] for name in self._columns},
            how="its ObjectId's time" if made_at is not None and new else "its own time column",
            written_at=made_at if made_at is not None and new else max(by_columns, default=None),
            since_baseline=False,
        )


def _later(value: Any, at: datetime) -> bool:
    return isinstance(value, datetime) and value > at


def _at(hello: Mapping[str, Any]) -> datetime:
    moment: datetime = hello["localTime"]
    return moment.astimezone(UTC)


def _ops(stats: Mapping[str, Any], kind: str) -> int:
    return int((stats.get(kind) or {}).get("ops", 0))


def _names(event: Mapping[str, Any]) -> str:
    """The key of an event on a whole collection: its name, and for a rename the new one."""
    names = [event.get("ns") or {}, event.get("to") or {}]
    return " -> ".join(".".join(str(part) for part in name.values()) for name in names if name)


def _written_at(event: Mapping[str, Any]) -> datetime | None:
    moment = event.get("wallTime") or event.get("clusterTime")
    if isinstance(moment, Timestamp):
        moment = moment.as_datetime()
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None


def _prefixed(criteria: Mapping[str, Any]) -> dict[str, Any] | None:
    """A filter on documents as a filter on the events that carry them; None where an operator needs the bare document."""
    prefixed: dict[str, Any] = {}
    for key, value in criteria.items():
        if key in ("$and", "$or", "$nor"):
            parts = [_prefixed(part) for part in _tables(value)]
            if any(part is None for part in parts):
                return None
            prefixed[key] = parts
        elif key.startswith("$"):
            return None
        else:
            prefixed[f"fullDocument.{key}"] = value
    return prefixed


def _tables(value: Any) -> Sequence[Mapping[str, Any]]:
    return value if isinstance(value, list) else [value]
