"""Relation `broker.push_tap`: the messages of the operator's tap queue, the only queue that the verifier consumes from."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq import exceptions

from verifier.judges.push_content import fields_of, type_of
from verifier.model.invariant import Row
from verifier.profile.relations import Queue
from verifier.stores.errors import Denied, Missing, StoreError, Unreachable
from verifier.stores.http import MIB
from verifier.stores.protocols import Completeness
from verifier.stores.rabbitmq.client import RabbitMQClient, open_channel
from verifier.stores.rabbitmq.payload import decode, plain_headers
from verifier.stores.rabbitmq.tap_bindings import what_the_tap_misses

TAP_MESSAGES_MAX = 10_000
TAP_BYTES_MAX = 32 * MIB
TAP_CHUNK = 200
REASONS_SHOWN = 3


class TapSource:
    """The messages of the tap queue. They are read once, acknowledged, and kept in memory for the rest of the run.

    Rows have `delivery` (the message id, or a digest), `body` (decoded JSON, or text), `headers`, `exchange`, `routing_key`,
    `type` (of the body, else of the message), `fields` (the paths of all fields of body and headers) and `unread` (why the
    body could not be read to its end; "" if it could).
    """

    key = ("delivery",)

    def __init__(self, client: RabbitMQClient, queue: Queue, tapped: Queue | None = None) -> None:
        """`tapped`: the queue whose messages the tap must see as well."""
        self._client = client
        self._queue = queue
        self._tapped = tapped
        self._rows: dict[str, Row] = {}
        self._bytes = 0
        self._left = 0
        self._drained = asyncio.Lock()
        self.label = f"broker.push_tap ({client.role}: {queue.name})"

    @property
    def queries(self) -> tuple[str, ...]:
        """The AMQP methods that are sent."""
        return (f"basic.get and basic.ack on {self._queue.name} in vhost {self._client.config.vhost}",)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """The messages that this run read before, then those in the queue; at most TAP_MESSAGES_MAX in all."""
        async with self._drained:
            rows = list(self._rows.values())
            for start in range(0, len(rows), TAP_CHUNK):
                yield rows[start : start + TAP_CHUNK]
            async with open_channel(self._client, self._client.config.vhost) as channel:
                queue = await self._open(channel)
                while chunk := await self._take(queue):
                    yield chunk

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The messages with these values, among those that this run has read: they cannot be read again."""
        return [row for row in self._rows.values() if row[column] in values]

    async def completeness(self) -> Completeness:
        """What the messages do not show, what is left in the queue, and what never gets there."""
        unread = Counter(str(row["unread"]) for row in self._rows.values() if row["unread"])
        hidden = []
        if unread:
            shown = ", ".join(f"{number} {why}" for why, number in unread.most_common(REASONS_SHOWN))
            hidden.append(f"the content of {unread.total()} messages could not be read ({shown})")
        if self._left:
            hidden.append(
                f"{self._left} messages are left in {self._queue.name} for later runs; run the verifier more often"
            )
        missed, unseen = await what_the_tap_misses(self._client, self._queue, self._tapped)
        return Completeness(hidden=(*hidden, *missed), unseen=unseen)

    async def _open(self, channel: AbstractChannel) -> AbstractQueue:
        """The queue, without a declare: RabbitMQ 4.2.6 and 4.3.0 refuse a passive one to a user who may only read
        (https://github.com/rabbitmq/rabbitmq-server/pull/16272)."""
        return await channel.get_queue(self._queue.name, ensure=False)

    async def _take(self, queue: AbstractQueue) -> list[Row]:
        """Up to a chunk of messages, acknowledged once they are in memory."""
        chunk: list[Row] = []
        last: AbstractIncomingMessage | None = None
        try:
            while len(chunk) < TAP_CHUNK and self._has_room():
                self._client.statement_log.note("AMQP basic.get")
                message = await queue.get(fail=False, timeout=self._client.config.operation_timeout_s)
                self._left = (message.message_count or 0) if message is not None else 0
                if message is None:
                    break
                last = message
                chunk.append(self._keep(message))
            if last is not None:
                await last.ack(multiple=True)
        except exceptions.ChannelAccessRefused:
            raise Denied(
                f"{self._client.label} does not let the verifier's user read the tap queue {self._queue.name}. "
                f"Grant only that: read '^{self._queue.name}$'."
            ) from None
        except exceptions.ChannelNotFoundEntity:
            raise Missing(
                f"{self._client.label} has no tap queue {self._queue.name} in vhost {self._client.config.vhost}. "
                "The operator declares and binds it; or remove queues.push_tap from the profile."
            ) from None
        except exceptions.ChannelLockedResource:
            raise StoreError(
                f"{self._client.label}: the tap queue {self._queue.name} is exclusive to another connection. Declare it without that."
            ) from None
        except (exceptions.AMQPError, OSError, TimeoutError) as error:
            raise _broken(self._client, error) from None
        except ValueError as error:
            raise StoreError(
                f"{self._client.label}: the AMQP driver cannot name the tap queue {self._queue.name} ({error}). Rename it."
            ) from None
        return chunk

    def _has_room(self) -> bool:
        return len(self._rows) < TAP_MESSAGES_MAX and self._bytes < TAP_BYTES_MAX

    def _keep(self, message: AbstractIncomingMessage) -> Row:
        """The message as a row. Two messages with one id are two rows, unless they are the same."""
        digest = hashlib.sha256(message.body).hexdigest()[:16]
        row = _row(message, message.message_id or digest)
        known = self._rows.get(row["delivery"])
        if known is not None and known != row:
            row = {**row, "delivery": f"{row['delivery']}#{digest}"}
        self._rows[row["delivery"]] = row
        self._bytes += len(message.body)
        return row


def _broken(client: RabbitMQClient, error: Exception) -> Unreachable:
    return Unreachable(
        f"{client.label}: the AMQP connection broke ({str(error) or type(error).__name__}). Is the broker up?"
    )


def _row(message: AbstractIncomingMessage, delivery: str) -> dict[str, Any]:
    found = decode(message.body, encoding=message.content_encoding, content_type=message.content_type)
    headers = plain_headers(message.headers or {})
    fields = fields_of([found.body, headers] if not found.unread else [headers])
    return {
        "delivery": delivery,
        "body": found.body,
        "headers": headers,
        "exchange": message.exchange or "",
        "routing_key": message.routing_key or "",
        "type": _first(type_of(found.body), message.type, type_of(headers)),
        "fields": [list(path) for path in fields.paths],
        "unread": found.unread or ("" if fields.whole else "nested too deeply or with too many fields"),
    }


def _first(*values: Any) -> Any:
    return next((value for value in values if value not in (None, "")), None)
