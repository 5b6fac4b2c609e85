"""Records of a relation in MongoDB: read in `_id` order by chunks, or looked up by values."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.stores.budget import ChunkSizer, TooSlow
from verifier.stores.convert import TIMES
from verifier.stores.errors import Denied, Missing, StoreError
from verifier.stores.mongo.client import Document, MongoClient
from verifier.stores.mongo.values import (
    accepted,
    as_json,
    condition,
    from_json,
    is_nan,
    stored_forms,
    to_row,
    types_after,
)
from verifier.stores.mongo.visibility import what_is_hidden
from verifier.stores.protocols import Completeness


def relation_filter(client: MongoClient, relation: Relation) -> dict[str, Any]:
    """The `where` of a relation as a filter. Extended JSON such as `{ "$oid" = "…" }` becomes the value that it stands
    for."""
    if relation.where is None:
        return {}
    if isinstance(relation.where, str):
        raise StoreError(
            f"{client.label}: `where` of collection {relation.collection} is text. MongoDB takes a table, "
            'such as where = { type = "chat" }.'
        )
    try:
        parsed = from_json(as_json(relation.where))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{client.label}: `where` of collection {relation.collection} is not a filter: {error}."
        ) from None
    return dict(parsed)


def all_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One filter that joins these by AND."""
    given = [dict(part) for part in parts if part]
    return given[0] if len(given) == 1 else {"$and": given} if given else {}


@dataclass(frozen=True, slots=True)
class IdPlace:
    """A place in `_id` order: after `last` within its BSON type, or among the later BSON types `types`."""

    last: Any
    types: tuple[str, ...] = ()

    @property
    def criteria(self) -> dict[str, Any]:
        """The filter for the documents after this place."""
        if self.types:
            return {"_id": {"$type": list(self.types)}}
        # NaN comes before all numbers, and no number is greater than it.
        return {"_id": {"$gte": -math.inf} if is_nan(self.last) else {"$gt": self.last}}

    def to_text(self) -> str:
        """As extended JSON."""
        return as_json({"last": self.last, "types": list(self.types)})

    @classmethod
    def from_text(cls, text: str) -> IdPlace:
        """Inverse of `to_text`."""
        raw = from_json(text)
        return cls(raw["last"], tuple(raw["types"]))


async def by_id(
    client: MongoClient,
    collection: str,
    criteria: Mapping[str, Any],
    projection: Mapping[str, Any],
    place: IdPlace | None = None,
    *,
    at_most: int | None = None,
) -> AsyncIterator[tuple[list[Document], IdPlace]]:
    """All matching documents in `_id` order, or those after `place`, by chunks with the place of each chunk's end.

    Each chunk is a short query. `at_most`: the largest chunk, where documents are large. `$gt` compares within one BSON type,
    so after the last id of a type the search continues with the later types.
    """
    sizer = ChunkSizer(client.limits, at_most=at_most or client.config.chunk_rows)
    last: Any = None if place is None else place.last
    while True:
        position = {} if place is None else place.criteria
        read = functools.partial(_sizer, client, collection, all_of([criteria, position]), projection)
        found, size = await sizer.take(read)
        if found:
            before, last = last, found[-1]["_id"]
            full = len(found) == size
            yield found, IdPlace(last)
            if position and full and last == before:
                raise StoreError(
                    f"{client.label}: reading {collection} does not advance past _id {last!r}, which is not valid UTF-8. "
                    "Correct that record, or raise chunk_rows of the role above the number of records."
                )
        if len(found) == size:
            place = IdPlace(last)
        elif place is not None and not place.types and (later := types_after(last)):
            place = IdPlace(last, tuple(later))
        else:
            return


async def _sizer(
    client: MongoClient, collection: str, criteria: Mapping[str, Any], projection: Mapping[str, Any], size: int
) -> tuple[list[Document], int]:
    found = await client.find(collection, criteria, projection=projection, sort={"_id": 1}, limit=size)
    return found, size


_ARRAY_INDEX = re.compile(
    r"\.\d+(?:\.|\Z)"
)  # a projection cannot select one item of an array, so the whole array is read


class MongoSource:
    """One relation of one database, read by keyset paging on `_id`: only the needed fields, one chunk in memory.

    `counts_documents`: each document is one record, so that records can be counted.
    """

    counts_documents = True

    def __init__(self, client: MongoClient, relation: Relation, rows: Rows) -> None:
        self._client = client
        self._relation = relation
        self._rows = rows
        self._collection = relation.collection or ""
        self.key = relation.key
        filtered = tuple(where.column for where in rows.where)
        self._columns = tuple(dict.fromkeys((*relation.key, *rows.columns, *filtered)))
        self.label = f"{rows.relation} ({client.role}: {client.config.database}.{self._collection})"
        self._exists = False
        self._dropped = 0
        self.position: str | None = None

    @property
    def queries(self) -> tuple[str, ...]:
        """The chunk query as MongoDB's shell writes it."""
        criteria = all_of([self._criteria(), {"_id": {"$gt": "…"}}])
        return (
            f"db.getCollection({as_json(self._collection)}).find({as_json(criteria)}, {as_json(self._projection)})"
            f".sort({{_id: 1}}).limit({self._client.config.chunk_rows})",
        )

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """All records in `_id` order, or those after a position."""
        await self._require_collection()
        start = None if after is None else IdPlace.from_text(after)
        self._dropped = 0
        async for found, place in by_id(self._client, self._collection, self._criteria(), self._projection, start):
            self.position = place.to_text()
            rows = self._rows_of(found)
            self._dropped += len(found) - len(rows)
            if rows:
                yield rows

    async def completeness(self) -> Completeness:
        """The number of documents under the same conditions, and what a view or a secondary may lack.

        The filter passes more than the conditions, so the documents that the last reading left out are subtracted.
        """
        await self._require_collection()
        hidden, unseen = await what_is_hidden(self._client, self._collection)
        counted: int | None = None
        if self.counts_documents:
            pipeline: list[dict[str, Any]] = [{"$match": self._criteria()}, {"$count": "documents"}]
            try:
                found = await self._client.aggregate(self._collection, pipeline, optional=True)
                counted = (int(found[0]["documents"]) if found else 0) - self._dropped
            except TooSlow:
                unseen = (*unseen, f"whether every document of {self._collection} was read: counting takes too long")
        return Completeness(counted, hidden, unseen)

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records whose `column` has one of `values`, in whichever BSON type it is stored."""
        await self._require_collection()
        mapped = self._relation.columns[column]
        forms = [form for value in values if value is not None for form in stored_forms(mapped, value)]
        if not forms:
            return []
        criteria = all_of([{mapped.column: {"$in": forms}}, self._criteria()])
        projection = {**self._projection, mapped.column: 1}
        return self._rows_of(await self._client.find(self._collection, criteria, projection=projection), also=column)

    def _rows_of(self, documents: Sequence[Document], also: str | None = None) -> list[Row]:
        columns = dict.fromkeys((*self._columns, also) if also else self._columns)
        rows = [to_row(self._relation, columns, document) for document in documents]
        try:
            return [row for row in rows if accepted(self._rows.where, row)]
        except TypeError:
            compared = ", ".join(
                f"{where.column} (declared as {self._relation.columns[where.column].type})"
                for where in self._rows.where
            )
            raise StoreError(
                f"{self._client.label}: a column of {self._rows.relation} cannot be compared: {compared}. "
                "Declare its type in the profile."
            ) from None

    def _criteria(self) -> dict[str, Any]:
        for where in self._rows.where:
            if isinstance(where.value, datetime) and self._relation.columns[where.column].type not in TIMES:
                raise StoreError(
                    f"{self._client.label}: column {where.column} of {self._rows.relation} is compared with a time and declared as "
                    f"{self._relation.columns[where.column].type}. Declare its type: timestamp, epoch_s or epoch_ms."
                )
        conditions = [condition(self._relation.columns[where.column], where) for where in self._rows.where]
        return all_of([relation_filter(self._client, self._relation), *conditions])

    @property
    def _projection(self) -> dict[str, Any]:
        return projection(self._relation, self._columns)

    async def _require_collection(self) -> None:
        """Raise Missing for a collection that does not exist: a find on it returns nothing, so a misspelt name would look
        like an empty collection."""
        if self._exists:
            return
        try:
            facts = await self._client.facts(self._collection)
        except Denied:
            return
        if facts.kind == "absent":
            raise Missing(
                f"{self._client.label}: collection {self._collection} does not exist in database {self._client.config.database}. "
                "Correct the relation in the profile, or remove it if the stack has none."
            )
        self._exists = True


def projection(relation: Relation, columns: Sequence[str], prefix: str = "") -> dict[str, Any]:
    """The projection for these columns. Of two nested paths only the outer one is listed, because the server refuses both
    together."""
    paths = {"_id", *(_ARRAY_INDEX.split(relation.columns[name].column)[0] for name in columns)}
    outer = [path for path in sorted(paths) if not any(path.startswith(f"{other}.") for other in paths)]
    return {f"{prefix}{path}": 1 for path in outer}
