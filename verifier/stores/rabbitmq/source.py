"""Relation `broker.push_tap`: the messages of the operator's tap queue, the only queue that the verifier consumes from."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq import exceptions

from verifier.model.invariant import Row
from verifier.profile.relations import Queue
from verifier.stores.errors import Denied, Missing, Unreachable
from verifier.stores.rabbitmq.client import RabbitMQClient, open_channel

TAP_MESSAGES_MAX = 10_000
TAP_CHUNK = 200
BODY_BYTES_MAX = 64 * 1024


class TapSource:
    """The messages of the tap queue. They are read once, acknowledged, and kept in memory for the rest of the run.

    Rows have `delivery` (the message id, or a digest), `body` (decoded JSON, or text), `exchange` and `routing_key`.
    """

    key = ("delivery",)

    def __init__(self, client: RabbitMQClient, queue: Queue) -> None:
        self._client = client
        self._queue = queue
        self._rows: dict[str, Row] = {}
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

    async def _open(self, channel: AbstractChannel) -> AbstractQueue:
        """The queue, by a passive declare, which never creates it."""
        try:
            return await channel.declare_queue(self._queue.name, passive=True)
        except exceptions.ChannelNotFoundEntity:
            raise Missing(
                f"{self._client.label} has no tap queue {self._queue.name} in vhost {self._client.config.vhost}. "
                "The operator declares and binds it; or remove queues.push_tap from the profile."
            ) from None
        except (exceptions.AMQPError, OSError) as error:
            raise _broken(self._client, error) from None

    async def _take(self, queue: AbstractQueue) -> list[Row]:
        """Up to a chunk of messages, acknowledged once they are in memory."""
        chunk: list[Row] = []
        last: AbstractIncomingMessage | None = None
        try:
            while len(chunk) < TAP_CHUNK and len(self._rows) < TAP_MESSAGES_MAX:
                self._client.statement_log.note("AMQP basic.get")
                message = await queue.get(fail=False, timeout=self._client.config.operation_timeout_s)
                if message is None:
                    break
                last = message
                row = _row(message)
                self._rows[str(row["delivery"])] = row
                chunk.append(row)
            if last is not None:
                await last.ack(multiple=True)
        except exceptions.ChannelAccessRefused:
            raise Denied(
                f"{self._client.label} does not let the verifier's user read the tap queue {self._queue.name}. "
                f"Grant only that: read '^{self._queue.name}$'."
            ) from None
        except (exceptions.AMQPError, OSError, TimeoutError) as error:
            raise _broken(self._client, error) from None
        return chunk


def _broken(client: RabbitMQClient, error: Exception) -> Unreachable:
    return Unreachable(
        f"{client.label}: the AMQP connection broke ({str(error) or type(error).__name__}). Is the broker up?"
    )


def _row(message: AbstractIncomingMessage) -> Row:
    return {
        "delivery": message.message_id or hashlib.sha256(message.body).hexdigest()[:16],
        "body": _decode(message.body),
        "exchange": message.exchange or "",
        "routing_key": message.routing_key or "",
    }


def _decode(raw: bytes) -> Any:
    """Decoded JSON; the beginning as text where the body is not JSON or is longer than BODY_BYTES_MAX."""
    if len(raw) <= BODY_BYTES_MAX:
        try:
            return json.loads(raw)
        except ValueError:
            pass
    return raw[:BODY_BYTES_MAX].decode("utf-8", errors="backslashreplace")
