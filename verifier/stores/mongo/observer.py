"""Finds writes to a collection by its change stream or, without one, by its records' times and its write counter."""

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
from verifier.stores.mongo.events import Change, Passing, Reader, event_projection, prefixed, token
from verifier.stores.mongo.source import all_of, by_id, projection, relation_filter
from verifier.stores.mongo.stream import NoStream, Place, changes, place_now
from verifier.stores.mongo.values import as_json, logical, to_row
from verifier.stores.protocols import CounterSnapshot, Observer, Witness

PRE_IMAGES_SINCE_WIRE = 17  # MongoDB 6.0
_ID = Column(column="_id")
_OPERATIONS = {"replace": "update", "dropDatabase": "drop"}
_TIMES = ("timestamp", "epoch_s", "epoch_ms")
_FILTER_UNSEEN = "whether a changed record passes the relation's `where`: its operators need whole documents, so all changes are reported"


class MongoObserver(Observer):
    """Finds writes to one collection.

    A change stream (replica set or sharded cluster) is complete: it needs no counter, survives restarts, and its resume token
    proves that nothing is missing. Snapshots then have no `counters`, and `complete` is True. Without a stream, records with a
    later time are witnesses that are not proven, and snapshots have the collection's write counter (`$collStats.latencyStats`)
    where it is seen to move: on some servers it stays 0.
    """

    unseen: tuple[str, ...] = (
        "updates in place",
        "deletes, and inserts that were deleted again",
        "inserts with a back-dated time",
    )

    def __init__(self, client: MongoClient, relation: Relation, columns: tuple[str, ...] = ()) -> None:
        self._client = client
        self._relation = relation
        self._columns = tuple(dict.fromkeys((*relation.key, *columns, *relation.watched)))
        self._collection = relation.collection or ""
        self.label = f"{client.role}: {client.config.database}.{self._collection}"
        self._where = relation_filter(client, relation)
        self._event_filter = prefixed(self._where)
        self.complete = False
        self.watched = relation.watched
        self.advice = (
            "Enable pre-images, which show a record as it was: "
            f"db.runCommand({{collMod: {as_json(self._collection)}, changeStreamPreAndPostImages: {{enabled: true}}}}). "
            "If a TTL index or a job removes records here on purpose, say so in deletes of the relation"
        )

    async def recommendation(self) -> str:
        """For `verifier doctor`: what would let every write be attributed, or "" if nothing is missing."""
        facts = await self._facts()
        if facts.kind != "collection" or facts.pre_images or self._client.max_wire_version < PRE_IMAGES_SINCE_WIRE:
            return ""
        return f"{self.label}: a delete does not name its conversation. {self.advice}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The stream as MongoDB's shell writes it."""
        return (f"db.getCollection({as_json(self._collection)}).watch({as_json(self._pipeline())})",)

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """The stream's place, or counters where there is no stream. `settled` has no effect, because nothing is delayed.

        A collection that does not exist is not an error: nothing is written to it. A stream continues across a drop and
        reports it, so only the snapshot without a stream has the collection as a continuity token (`absent` where it does
        not exist).
        """
        facts = await self._facts()
        try:
            if facts.kind in ("view", "timeseries"):
                raise NoStream(f"the collection is a {facts.kind}")
            place = await place_now(self._client, self._collection)
        except NoStream as reason:
            self.complete = False
            return await self._snapshot_without_stream(facts, str(reason))
        self.complete = True
        hello = await self._client.hello()
        continuity = {"history": f"change stream of {hello.get('setName') or 'a sharded cluster'}"}
        limitations = [] if self._event_filter is not None else [_FILTER_UNSEEN]
        if facts.capped:
            limitations.append("records that the capped collection drops by itself, without an event")
        return CounterSnapshot(
            at=_at(hello), continuity=continuity, position=place.to_text(), limitations=tuple(limitations)
        )

    async def _facts(self) -> CollectionFacts:
        try:
            return await self._client.facts(self._collection)
        except Denied:
            return CollectionFacts("unknown")

    async def _snapshot_without_stream(self, facts: CollectionFacts, reason: str) -> CounterSnapshot:
        hello = await self._client.hello()
        process = (hello.get("topologyVersion") or {}).get("processId", "")
        continuity = {
            "collection": facts.uuid or facts.kind,
            "history": f"records and counters of {hello.get('me', 'this server')} {process}".rstrip(),
        }
        counters, why_none = await self._live_counter(hello, facts)
        limitations = (f"everything that only a change stream shows ({reason})", *why_none)
        no_proof = "" if counters else f"there is no change stream ({reason}) and {'; '.join(why_none)}"
        return CounterSnapshot(
            at=_at(hello),
            continuity=continuity,
            counters=counters,
            limitations=limitations,
            inconclusive_because=no_proof,
        )

    async def _live_counter(
        self, hello: Mapping[str, Any], facts: CollectionFacts
    ) -> tuple[dict[str, int], tuple[str, ...]]:
        """The collection's write counter if a read by the verifier moves the read counter, and otherwise why there is
        none."""
        if hello.get("msg") == "isdbgrid":
            return {}, ("no write counter: each shard has its own",)
        if facts.kind != "collection":
            return {}, (f"no write counter: the collection is {facts.kind}",)
        try:
            before = await self._latency_stats()
            await self._client.find(self._collection, {}, projection={"_id": 1}, limit=1)
            after = await self._latency_stats()
        except StoreError as error:
            return {}, (f"no write counter: {error}",)
        if _ops(after, "reads") <= _ops(before, "reads"):
            return {}, ("no write counter: the server's counter does not move, not even for a read",)
        return {"write": _ops(after, "writes")}, ()

    async def _latency_stats(self) -> Document:
        found = await self._client.aggregate(self._collection, [{"$collStats": {"latencyStats": {}}}])
        return dict(found[0].get("latencyStats") or {}) if found else {}

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """Every write between two snapshots, in order. A write at the edge may be reported by two runs, never by none.

        Raises ContinuityLost where the stream cannot be resumed from `before`. Without a `before` there are no witnesses.
        """
        if before is None:
            return
        if bool(before.position) != bool(now.position):
            raise ContinuityLost(
                f"{self._client.label}: the change stream of {self._collection} was available in only one of two runs"
                f"{' (' + now.limitations[0] + ')' if now.limitations else ''}. Take a new baseline."
            )
        found = self._streamed(before, now) if before.position else self._recent(before)
        async for witness in found:
            yield witness

    async def _streamed(self, before: CounterSnapshot, now: CounterSnapshot) -> AsyncIterator[Witness]:
        passing = await self._passing(before, now) if self._limited else None
        reader = Reader(self._relation, self._columns, self._where, passing)
        async for event in self._events(before, now, self._pipeline()):
            for change in reader.read(event):
                yield self._witness(event, change)

    def _events(
        self, before: CounterSnapshot, now: CounterSnapshot, pipeline: Sequence[Mapping[str, Any]]
    ) -> AsyncIterator[Document]:
        options: dict[str, Any] = {}
        if self._limited or any(self._relation.columns[name].column != "_id" for name in self._columns):
            options["full_document"] = "updateLookup"
            if self._client.max_wire_version >= PRE_IMAGES_SINCE_WIRE:
                options["full_document_before_change"] = "whenAvailable"
        return changes(
            self._client,
            self._collection,
            pipeline,
            start=Place.from_text(before.position),
            fence=Place.from_text(now.position).fence,
            options=options,
        )

    @property
    def _limited(self) -> bool:
        """Whether the relation has a `where` that can be asked of events."""
        return bool(self._event_filter)

    async def _passing(self, before: CounterSnapshot, now: CounterSnapshot) -> Passing:
        """Which events pass the relation's `where`. The server decides it, so that the filter means the same as in a query."""
        passing = Passing()
        for found, prefix in ((passing.after, "fullDocument"), (passing.before, "fullDocumentBeforeChange")):
            criteria = {"$and": [{prefix: {"$ne": None}}, prefixed(self._where, prefix) or {}]}
            fields = {"operationType": 1, "clusterTime": 1}
            async for event in self._events(before, now, [{"$match": criteria}, {"$project": fields}]):
                found.add(token(event))
        return passing

    def _witness(self, event: Mapping[str, Any], change: Change) -> Witness:
        """A change as a witness. The row lacks the columns that are not known."""
        key = event.get("documentKey") or {}
        return Witness(
            operation=_OPERATIONS.get(change.operation, change.operation),
            key=self._key(change.row, key) or _names(event),
            row=change.row,
            how="change stream",
            written_at=_written_at(event),
            touched=change.touched,
            lost_values=change.lost_values,
            uncertain=f"whether the record was of the relation is not known. {self.advice}" if change.uncertain else "",
        )

    def _key(self, row: Row, document_key: Mapping[str, Any]) -> str:
        """The relation's key where the row has it, so that all techniques name a record alike; otherwise its `_id`."""
        if self._relation.key[0] in row:
            return " / ".join(str(row.get(name)) for name in self._relation.key)
        return str(logical(_ID, document_key["_id"])) if document_key else ""

    def _pipeline(self) -> list[dict[str, Any]]:
        """All events, with the fields that proofs need. Inserts that do not pass the relation's `where` are left out.

        Updates and deletes pass: whether their record was of the relation shows in its pre-image, if at all.
        """
        stages: list[dict[str, Any]] = []
        if self._event_filter:
            stages.append({"$match": {"$or": [{"operationType": {"$ne": "insert"}}, self._event_filter]}})
        return [*stages, {"$project": event_projection(self._relation, self._columns)}]

    async def _recent(self, before: CounterSnapshot) -> AsyncIterator[Witness]:
        """Records whose ObjectId or time columns are later than `before`."""
        times = {name: column for name, column in self._relation.columns.items() if column.type in _TIMES}
        columns = tuple(dict.fromkeys((*self._columns, *times)))
        # An ObjectId has whole seconds: within the second of `before` it does not show which was first.
        first_id = ObjectId.from_datetime(before.at + timedelta(seconds=1))
        later: list[dict[str, Any]] = [{"_id": {"$gte": first_id}}]
        later += [{column.column: {"$gt": to_stored(column, before.at)}} for column in times.values()]
        fields = projection(self._relation, columns)
        async for chunk, _ in by_id(self._client, self._collection, all_of([self._where, {"$or": later}]), fields):
            for document in chunk:
                yield self._unproven_witness(document, to_row(self._relation, columns, document), times, before.at)

    def _unproven_witness(
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
    """The key of an event on a whole collection: its name, and for a rename also the new one."""
    names = [event.get("ns") or {}, event.get("to") or {}]
    return " -> ".join(".".join(str(part) for part in name.values()) for name in names if name)


def _written_at(event: Mapping[str, Any]) -> datetime | None:
    moment = event.get("wallTime") or event.get("clusterTime")
    if isinstance(moment, Timestamp):
        moment = moment.as_datetime()
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None
