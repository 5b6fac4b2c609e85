"""The two things that are done over AMQP: a passive declare, and emptying the operator's tap queue."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq import exceptions  # aio-pika's own lower half: it raises these

from verifier.model.invariant import Row
from verifier.profile.relations import Queue
from verifier.stores.errors import Denied, Missing, StoreError, Unreachable
from verifier.stores.rabbitmq.store import RabbitMQStore, segment

QueueState = Literal["absent", "present", "exclusive", "unknown"]

TAP_MESSAGES_MAX = 10_000
TAP_CHUNK = 200
BODY_BYTES_MAX = 64 * 1024

# What goes wrong is raised as well; without a handler Python would print the driver's own lines among ours.
logging.getLogger("aiormq").addHandler(logging.NullHandler())


@asynccontextmanager
async def _channel(store: RabbitMQStore, vhost: str) -> AsyncIterator[AbstractChannel]:
    """A channel on a connection of its own: a refused passive declare closes it."""
    secret = store.config.amqp_url
    if secret is None:
        raise StoreError(f"{store.label}: roles.{store.role}.amqp_url is not set.")
    url = urlsplit(secret.get_secret_value())._replace(path=f"/{segment(vhost)}").geturl()
    ca_file = store.config.tls_ca_file
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file and url.startswith("amqps") else None
        async with asyncio.timeout(store.config.connect_timeout_s):
            connection = await aio_pika.connect(url, ssl_context=context)
    except TimeoutError:
        raise Unreachable(
            f"{store.label} did not accept an AMQP connection within {store.config.connect_timeout_s:g} s."
        ) from None
    except (exceptions.AMQPError, OSError, ValueError) as error:
        raise _refused(store, vhost, error) from None
    try:
        yield await connection.channel()
    finally:
        with suppress(Exception):
            async with asyncio.timeout(2):
                await connection.close()


def _refused(store: RabbitMQStore, vhost: str, error: Exception) -> StoreError:
    match error:
        case exceptions.AuthenticationError() | exceptions.ProbableAuthenticationError():
            return Denied(f"{store.label} refused the user or password of roles.{store.role}.amqp_url.")
        case exceptions.ConnectionClosed() | exceptions.ConnectionNotAllowed():
            return Denied(f"{store.label} refused an AMQP connection to vhost {vhost} ({error}).")
        case _:
            return Unreachable(
                f"{store.label} cannot be reached over AMQP ({str(error) or type(error).__name__}). "
                f"Is roles.{store.role}.amqp_url right?"
            )


@dataclass(frozen=True, slots=True)
class Declared:
    """What a passive declare tells; `messages` are those that are ready, at this very moment."""

    state: QueueState
    messages: int | None = None


async def passive_declare(store: RabbitMQStore, vhost: str, name: str) -> Declared:
    """Ask for a queue without creating it. Needs an entry in the vhost, and no permission at all."""
    try:
        async with _channel(store, vhost) as channel:
            store.statement_log.note("AMQP queue.declare passive")
            queue = await channel.declare_queue(name, passive=True)
    except exceptions.ChannelNotFoundEntity:
        return Declared("absent")
    except exceptions.ChannelLockedResource:
        return Declared("exclusive")
    except (StoreError, exceptions.AMQPError, OSError):
        return Declared("unknown")
    return Declared("present", queue.declaration_result.message_count)


class TapSource:
    """The messages of the tap queue: read once, acknowledged, and remembered for the rest of the run.

    Rows have `delivery` (the message id, or a digest), `body` (decoded JSON, else text), `exchange` and `routing_key`.
    """

    key = ("delivery",)

    def __init__(self, store: RabbitMQStore, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._rows: dict[str, Row] = {}
        self._drained = asyncio.Lock()
        self.label = f"broker.push_tap ({store.role}: {queue.name})"

    @property
    def queries(self) -> tuple[str, ...]:
        """What is sent."""
        return (f"basic.get and basic.ack on {self._queue.name} in vhost {self._store.config.vhost}",)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """What was read before in this run, then what is in the queue now; at most TAP_MESSAGES_MAX."""
        async with self._drained:
            rows = list(self._rows.values())
            for start in range(0, len(rows), TAP_CHUNK):
                yield rows[start : start + TAP_CHUNK]
            async with _channel(self._store, self._store.config.vhost) as channel:
                queue = await self._open(channel)
                while chunk := await self._take(queue):
                    yield chunk

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """Among the messages of this run: a message cannot be asked for again."""
        return [row for row in self._rows.values() if row[column] in values]

    async def _open(self, channel: AbstractChannel) -> AbstractQueue:
        """The queue by a passive declare: it is never made."""
        try:
            return await channel.declare_queue(self._queue.name, passive=True)
        except exceptions.ChannelNotFoundEntity:
            raise Missing(
                f"{self._store.label} has no tap queue {self._queue.name} in vhost {self._store.config.vhost}. "
                "The operator declares and binds it; or remove queues.push_tap from the profile."
            ) from None
        except (exceptions.AMQPError, OSError) as error:
            raise _broke_off(self._store, error) from None

    async def _take(self, queue: AbstractQueue) -> list[Row]:
        """Up to a chunk of messages; they are acknowledged when they are in memory."""
        chunk: list[Row] = []
        last: AbstractIncomingMessage | None = None
        try:
            while len(chunk) < TAP_CHUNK and len(self._rows) < TAP_MESSAGES_MAX:
                self._store.statement_log.note("AMQP basic.get")
                message = await queue.get(fail=False, timeout=self._store.config.operation_timeout_s)
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
                f"{self._store.label} does not let the verifier's user read the tap queue {self._queue.name}. "
                f"Grant that alone: read '^{self._queue.name}$'."
            ) from None
        except (exceptions.AMQPError, OSError, TimeoutError) as error:
            raise _broke_off(self._store, error) from None
        return chunk


def _broke_off(store: RabbitMQStore, error: Exception) -> Unreachable:
    return Unreachable(
        f"{store.label}: the AMQP connection broke ({str(error) or type(error).__name__}). Is the broker up?"
    )


def _row(message: AbstractIncomingMessage) -> Row:
    return {
        "delivery": message.message_id or hashlib.sha256(message.body).hexdigest()[:16],
        "body": _decode(message.body),
        "exchange": message.exchange or "",
        "routing_key": message.routing_key or "",
    }


def _decode(raw: bytes) -> Any:
    """JSON where it is some and not too large to keep, else the beginning as text."""
    if len(raw) <= BODY_BYTES_MAX:
        try:
            return json.loads(raw)
        except ValueError:
            pass
    return raw[:BODY_BYTES_MAX].decode("utf-8", errors="backslashreplace")
