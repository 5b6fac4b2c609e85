"""Whether messages exist in OpenIM's database, by conversation and seq or by one of their ids, without reading what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.stores.mongo.client import Document, MongoClient
from verifier.stores.openim.records import SLOTS, MessageSource, parts_of

ID = "message_id"
_NAMES = ("client_msg_id", "server_msg_id")


class MessageIdSource(MessageSource):
    """Two rows per message, one for each of its ids: the sender's and the server's.

    Looked up by `place` (`<conversation>:<seq>`) and by `message_id`. OpenIM has no index on the ids, so a look-up by id reads
    the collection once for a batch; only the documents that match leave the server.
    """

    slots: Mapping[str, int] = {f"msgs.msg.{name}": 1 for name in ("seq", "status", *_NAMES)}

    def __init__(self, client: MongoClient, rows: Rows) -> None:
        super().__init__(client, rows)
        self.key = ("place", ID)

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """By `place` or by `message_id`."""
        if column != ID:
            return await super().lookup(column, values)
        await self._require_collection()
        wanted = sorted({str(value) for value in values} - {""})
        criteria = {"$or": [{f"msgs.msg.{name}": {"$in": wanted}} for name in _NAMES]}
        found = await self._client.find("msg", criteria, projection=self._fields) if wanted else []
        return [row for row in self._rows_of(found) if row[ID] in set(wanted)]

    def _rows_of(self, documents: Sequence[Document], also: str | None = None) -> list[Row]:
        return [row for document in documents for row in _ids(document)]


def _ids(document: Document) -> Iterator[Row]:
    conversation, number, slots = parts_of(document)
    for slot, message in slots if number is not None else ():
        if number is None or not message:
            continue
        seq = number * SLOTS + slot + 1
        for name in _NAMES:
            yield {
                "place": f"{conversation}:{seq}",
                "conversation_id": conversation,
                "seq": seq,
                "status": int(message.get("status") or 0),
                ID: str(message.get(name) or ""),
            }
