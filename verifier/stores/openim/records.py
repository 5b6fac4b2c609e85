"""OpenIM's own MongoDB (role `openim_mongo`) as built-in relations, named `openim_mongo.…`, with OpenIM's field names.

Collection `seq` has the end of the reserved block of seqs and not the highest used seq [F76]. Collection `msg` has one document
per hundred seqs of a conversation, with a slot for each [F63, F64].
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Column, ColumnType, Relation
from verifier.stores.mongo.client import Document, MongoClient
from verifier.stores.mongo.source import IdPlace, MongoSource, all_of, by_id
from verifier.stores.mongo.values import as_json
from verifier.stores.openim.content import message_digest, urls_in

PREFIX = "openim_mongo."
SLOTS = 100
TEXT = 101
_NOTIFICATIONS = range(1000, 10_000)
"""Content types of the notifications that OpenIM writes itself."""
_DOCUMENTS_AT_ONCE = 50
_RANGES_AT_ONCE = 50


def collection_source(
    client: MongoClient, rows: Rows, columns: Mapping[str, ColumnType], *, collection: str = ""
) -> MongoSource:
    """The records of one of OpenIM's collections, by default the one that the relation is named after.

    `columns` are named as OpenIM names its fields; `record` is the `_id`.
    """
    relation = _relation(collection or rows.relation.removeprefix(PREFIX), columns)
    return MongoSource(client, relation, Rows(rows.relation, tuple(columns), rows.where))


def _relation(collection: str, columns: Mapping[str, ColumnType]) -> Relation:
    mapped = {name: Column(column="_id" if name == "record" else name, type=kind) for name, kind in columns.items()}
    return Relation(role="openim_mongo", collection=collection, key=("record",), columns=mapped)


class BlockSource(MongoSource):
    """One row per document of `msg` that has messages: the lowest and highest seq with a message, and their number.

    Two filters are applied to the documents: `conversation_id =`, and `begun_after` (`_id` later than a time).
    """

    counts_documents = False
    slots: Mapping[str, int] = {"msgs.msg.seq": 1}

    def __init__(self, client: MongoClient, rows: Rows) -> None:
        plain = tuple(where for where in rows.where if where.column not in ("conversation_id", "begun_after"))
        super().__init__(
            client, _relation("msg", {"record": "text", "doc_id": "text"}), Rows(rows.relation, ("doc_id",), plain)
        )
        self.key = ("doc_id",)
        self._bounds = [_range(str(where.value)) for where in rows.where if where.column == "conversation_id"]
        self._bounds += [
            {"_id": {"$gt": ObjectId.from_datetime(where.value)}}
            for where in rows.where
            if where.column == "begun_after"
        ]

    @property
    def queries(self) -> tuple[str, ...]:
        """The chunk query as MongoDB's shell writes it."""
        criteria = all_of([*self._bounds, {"_id": {"$gt": "…"}}])
        return (f"db.msg.find({as_json(criteria)}, {as_json(self._fields)}).sort({{_id: 1}})",)

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """All rows, a few documents at a time, because each has a hundred messages."""
        await self._require_collection()
        start = None if after is None else IdPlace.from_text(after)
        at_most = min(_DOCUMENTS_AT_ONCE, self._client.config.chunk_rows)
        criteria = all_of(self._bounds)
        async for found, place in by_id(self._client, "msg", criteria, self._fields, start, at_most=at_most):
            self.position = place.to_text()
            if rows := self._rows_of(found):
                yield rows

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """By `doc_id`, by `place` (`<conversation>:<seq>`), or by `conversation_id`."""
        await self._require_collection()
        wanted = list(dict.fromkeys(str(value) for value in values))
        rows: list[Row] = []
        for start in range(0, len(wanted), _RANGES_AT_ONCE):
            part = wanted[start : start + _RANGES_AT_ONCE]
            found = self._rows_of(await self._client.find("msg", _criteria(column, part), projection=self._fields))
            rows += [row for row in found if str(row.get(column)) in set(part)]
        return rows

    @property
    def _fields(self) -> dict[str, Any]:
        return {"doc_id": 1, **self.slots}

    def _rows_of(self, documents: Sequence[Document], also: str | None = None) -> list[Row]:
        return [row for document in documents if (row := self._block(document)) is not None]

    def _block(self, document: Document) -> Row | None:
        conversation, number, slots = _parts(document)
        filled = [slot for slot, message in slots if message]
        if number is None or not filled:
            return None  # all of its messages were deleted, or it is not OpenIM's
        return {
            "doc_id": document["doc_id"],
            "conversation_id": conversation,
            "number": number,
            "lowest": number * SLOTS + filled[0] + 1,
            "highest": number * SLOTS + filled[-1] + 1,
            "filled": len(filled),
            "before": f"{conversation}:{number - 1}",
        }


class MessageSource(BlockSource):
    """One row per slot of `msg` that has a message. Only a digest of the content is kept."""

    slots: Mapping[str, int] = {
        f"msgs.msg.{name}": 1
        for name in ("seq", "send_id", "send_time", "content_type", "content", "status", "ex", "server_msg_id")
    }

    def __init__(self, client: MongoClient, rows: Rows) -> None:
        super().__init__(client, rows)
        self.key = ("doc_id", "slot")

    def _rows_of(self, documents: Sequence[Document], also: str | None = None) -> list[Row]:
        return [row for document in documents for row in _messages(document)]


class MediaUrlSource(MessageSource):
    """One row per URL in a message that is neither a plain text nor a notification. `bare`: the URL without its query."""

    def __init__(self, client: MongoClient, rows: Rows) -> None:
        super().__init__(client, rows)
        self.key = ("doc_id", "slot", "number")

    def _rows_of(self, documents: Sequence[Document], also: str | None = None) -> list[Row]:
        return [row for document in documents for row in _media(document)]


def _media(document: Document) -> list[Row]:
    conversation, number, slots = _parts(document)
    return [
        {
            "doc_id": document["doc_id"],
            "slot": slot,
            "number": index,
            "place": f"{conversation}:{number * SLOTS + slot + 1}",
            "url": url,
            "bare": url.partition("?")[0],
        }
        for slot, message in slots
        if number is not None and message and int(message.get("content_type") or 0) not in (TEXT, *_NOTIFICATIONS)
        for index, url in enumerate(urls_in(str(message.get("content") or "")))
    ]


def _messages(document: Document) -> list[Row]:
    conversation, number, slots = _parts(document)
    if number is None:
        return []
    return [
        {
            "doc_id": document["doc_id"],
            "slot": slot,
            "place": f"{conversation}:{number * SLOTS + slot + 1}",
            "conversation_id": conversation,
            "seq": number * SLOTS + slot + 1,
            **_described(message),
        }
        for slot, message in slots
        if message
    ]


def _described(message: Mapping[str, Any]) -> Row:
    digest, is_text = message_digest(str(message.get("content") or ""))
    return {
        "sender_id": str(message.get("send_id") or ""),
        "sent_at": datetime.fromtimestamp(int(message.get("send_time") or 0) / 1000, UTC),
        "content_type": int(message.get("content_type") or 0),
        "status": int(message.get("status") or 0),
        "digest": digest,
        "is_text": is_text,
        "ex": str(message.get("ex") or ""),
    }


def _parts(document: Document) -> tuple[str, int | None, list[tuple[int, Mapping[str, Any] | None]]]:
    """The conversation, the document's number in it (None for a document of another form), and its slots; an empty slot is
    None."""
    conversation, _, number = str(document.get("doc_id") or "").rpartition(":")
    slots = document.get("msgs")
    if not number.isdigit() or not isinstance(slots, list):
        return conversation, None, []
    messages = [item.get("msg") or None if isinstance(item, Mapping) else None for item in slots]
    if len(messages) != SLOTS:
        # A projection omits items that are not documents, which moves the others: the place follows from the message's seq.
        placed = [(_place(message), message) for message in messages if message]
        return conversation, int(number), [(place, message) for place, message in placed if place is not None]
    return conversation, int(number), list(enumerate(messages))


def _place(message: Mapping[str, Any]) -> int | None:
    seq = message.get("seq")
    return (seq - 1) % SLOTS if isinstance(seq, int) and seq > 0 else None


def _criteria(column: str, values: Sequence[str]) -> dict[str, Any]:
    if column == "conversation_id":
        return {"$or": [_range(value) for value in values]}
    if column == "place":
        places = [value.rpartition(":") for value in values]
        values = [f"{name}:{(int(seq) - 1) // SLOTS}" for name, _, seq in places if seq.isdigit()]
    return {"doc_id": {"$in": list(dict.fromkeys(values))}}


def _range(conversation_id: str) -> dict[str, Any]:
    """The documents of a conversation, by the index on `doc_id`: `;` is the character after `:`."""
    return {"doc_id": {"$gte": f"{conversation_id}:", "$lt": f"{conversation_id};"}}
