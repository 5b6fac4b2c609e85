"""RabbitMQ: requests to the management API, and AMQP connections for passive declares and the tap queue."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel
from aiormq import exceptions  # the AMQP layer below aio-pika, whose exceptions it raises

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import BrokerRole
from verifier.stores.budget import Budget
from verifier.stores.errors import Denied, Missing, StoreError, Unreachable
from verifier.stores.http import guarded_client
from verifier.stores.rabbitmq.guard import is_read_request
from verifier.stores.statement_log import StatementLog

# The Date header has whole seconds, rounded down: half a second later is the best estimate.
_HALF_SECOND = timedelta(milliseconds=500)
QueueState = Literal["absent", "present", "exclusive", "unknown"]

# Errors are raised as well. Without a handler, Python would print the driver's log lines to the terminal.
logging.getLogger("aiormq").addHandler(logging.NullHandler())


def segment(text: str) -> str:
    """A name as one path segment: the vhost `/` is `%2F`.

    Raises StoreError for `.` and `..`. HTTP clients and the broker remove such segments, encoded or not, so that the answer
    would be about something else.
    """
    if text in (".", ".."):
        raise StoreError(f"The management API has no path for an object with the name {text!r}. Rename it.")
    return quote(text, safe="")


@dataclass(frozen=True, slots=True)
class Declared:
    """The result of a passive declare. `messages`: the number of ready messages at that moment."""

    state: QueueState
    messages: int | None = None


class RabbitMQClient:
    """Connections to one broker or cluster. Every request passes `is_read_request`; over AMQP only passive declares are
    sent."""

    clock_grain_s = _HALF_SECOND.total_seconds()

    def __init__(self, role: str, config: BrokerRole, budget: StoreBudget | None = None) -> None:
        self.role = role
        self.config = config
        self.label = f"{role} (RabbitMQ)"
        self.statement_log = StatementLog()
        self.limits = budget or StoreBudget()
        self.budget = Budget(
            self.limits, timeout_s=config.operation_timeout_s, store=self.label, statement_log=self.statement_log
        )
        url = urlsplit(config.management_url.get_secret_value())
        if url.scheme not in ("http", "https") or not url.hostname:
            raise StoreError(
                f"{self.label}: roles.{role}.management_url is not a URL. Its form is http://USER:PASSWORD@HOST:15672"
            )
        self.has_clock = True
        self._prefix = url.path.rstrip("/").removesuffix("/api")
        try:
            self._client = guarded_client(
                f"{url.scheme}://{url.netloc.rpartition('@')[2]}",
                lambda method, path: is_read_request(method, path.removeprefix(self._prefix)),
                self.statement_log,
                timeout_s=config.operation_timeout_s,
                connect_timeout_s=config.connect_timeout_s,
                ca_file=config.tls_ca_file,
                auth=(unquote(url.username or ""), unquote(url.password or "")),
            )
        except (httpx.InvalidURL, OSError) as error:
            raise StoreError(
                f"{self.label}: {error}. Correct management_url or tls_ca_file of roles.{role} in the profile."
            ) from None

    async def connect(self) -> None:
        """Check the credential."""
        try:
            if "name" not in await self.get_object("/api/whoami"):
                raise self.strange("/api/whoami")
        except Denied:
            raise Denied(
                f"{self.label} refused the user or password of roles.{self.role}.management_url, or the user lacks the tag "
                "monitoring. Correct it, or the secret that it comes from."
            ) from None

    async def close(self) -> None:
        """Close every connection."""
        with suppress(Exception):
            await self._client.aclose()

    async def get(self, path: str, **parameters: str | int) -> Any:
        """GET an allowed path of the API, and return the decoded answer.

        Raises Denied for 401 and 403, Missing for 404, Unreachable for the network, StoreError for anything else.
        """
        return (await self.get_dated(path, **parameters))[0]

    async def get_object(self, path: str, **parameters: str | int) -> Mapping[str, Any]:
        """As `get`, for a path whose answer is an object."""
        found = await self.get(path, **parameters)
        if not isinstance(found, dict):
            raise self.strange(path)
        return found

    async def get_list(self, path: str, **parameters: str | int) -> list[Mapping[str, Any]]:
        """As `get`, for a path whose answer is a list of objects."""
        found = await self.get(path, **parameters)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self.strange(path)
        return found

    async def get_dated(self, path: str, **parameters: str | int) -> tuple[Any, datetime]:
        """As `get`, with the broker's time of the answer.

        A proxy may remove the header Date. The time is then the verifier's own, and `has_clock` is False.
        """
        response = await self.budget.run(
            lambda: self._send(path, parameters), kind=f"GET {self._prefix}{path}", rows=_items
        )
        if response.status_code in (401, 403):
            raise Denied(
                f"{self.label} denies GET {path}: {_reason(response)}. The verifier's user needs the tag monitoring and an entry "
                "in each vhost: rabbitmqctl set_permissions -p VHOST USER '^$' '^$' '^$'."
            )
        if response.status_code == 404:
            raise Missing(f"{self.label} has nothing at {path}.")
        if response.status_code != 200:
            where = f", to {response.headers['location']}" if response.has_redirect_location else ""
            raise StoreError(
                f"{self.label} answered GET {path} with HTTP {response.status_code} ({_reason(response)}{where}). "
                f"Does roles.{self.role}.management_url point at the management plugin?"
            )
        try:
            return response.json(), self._time_of(response)
        except (ValueError, RecursionError):
            raise self.strange(path) from None

    def _time_of(self, response: httpx.Response) -> datetime:
        with suppress(ValueError, KeyError):
            at = parsedate_to_datetime(response.headers["date"])
            self.has_clock = True
            return at.astimezone(UTC) + _HALF_SECOND
        self.has_clock = False
        return datetime.now(UTC)

    def strange(self, path: str) -> StoreError:
        """The error for an answer that is not one of the management API."""
        return StoreError(
            f"{self.label} did not answer GET {path} as RabbitMQ's management API does. "
            f"Does roles.{self.role}.management_url point at the management plugin?"
        )

    async def _send(self, path: str, parameters: Mapping[str, str | int]) -> httpx.Response:
        try:
            return await self._client.get(self._prefix + path, params=parameters)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise StoreError(f"{self.label}: {error}. Correct roles.{self.role}.management_url.") from None
        except httpx.TimeoutException:
            raise Unreachable(f"{self.label} did not answer GET {path} in time.") from None
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self.label} cannot be reached ({str(error) or type(error).__name__}). "
                f"Is the management plugin enabled, and is roles.{self.role}.management_url right?"
            ) from None

    async def clock(self) -> datetime:
        """The broker's clock, precise to half a second; the verifier's own where a proxy hides it."""
        return (await self.get_dated("/api/whoami"))[1]

    async def version(self) -> str:
        """`RabbitMQ 3.10.8`."""
        overview = await self.get_object("/api/overview")
        return f"{overview.get('product_name', 'RabbitMQ')} {overview.get('rabbitmq_version', '?')}"

    async def vhosts(self) -> list[str]:
        """The names of all vhosts, unreadable ones included."""
        return sorted(str(item["name"]) for item in await self.get_list("/api/vhosts"))

    async def passive_declare(self, vhost: str, name: str) -> Declared:
        """Whether a queue exists, by a passive declare, and its number of ready messages."""
        if self.config.amqp_url is None:
            return Declared("unknown")
        return await self.budget.run(lambda: self._declare(vhost, name), kind="AMQP queue.declare passive")

    async def _declare(self, vhost: str, name: str) -> Declared:
        """Declare passively, which does not create the queue. It needs an entry in the vhost without any permission."""
        try:
            # RabbitMQ 4.2.6 and 4.3.0 want permission to configure the queue for this, later ones any permission: the answer
            # to a user without one is then a refusal (https://github.com/rabbitmq/rabbitmq-server/pull/16272).
            async with open_channel(self, vhost) as channel:
                self.statement_log.note("AMQP queue.declare passive")
                queue = await channel.declare_queue(name, passive=True)
        except exceptions.ChannelNotFoundEntity:
            return Declared("absent")
        except exceptions.ChannelLockedResource:
            return Declared("exclusive")
        except (StoreError, exceptions.AMQPError, OSError, ValueError):
            return Declared("unknown")  # ValueError: the driver refuses names with letters beyond ASCII
        return Declared("present", queue.declaration_result.message_count)


@asynccontextmanager
async def open_channel(client: RabbitMQClient, vhost: str) -> AsyncIterator[AbstractChannel]:
    """A channel on its own connection, because a refused passive declare closes the channel.

    It can write: only this package uses it, for passive declares and the tap queue.
    """
    secret = client.config.amqp_url
    if secret is None:
        raise StoreError(f"{client.label}: roles.{client.role}.amqp_url is not set.")
    url = urlsplit(secret.get_secret_value())._replace(path=f"/{segment(vhost)}").geturl()
    ca_file = client.config.tls_ca_file
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file and url.startswith("amqps") else None
        async with asyncio.timeout(client.config.connect_timeout_s):
            connection = await aio_pika.connect(url, ssl_context=context)
    except TimeoutError:
        raise Unreachable(
            f"{client.label} did not accept an AMQP connection within {client.config.connect_timeout_s:g} s."
        ) from None
    except (exceptions.AMQPError, OSError, ValueError) as error:
        raise _refused(client, vhost, error) from None
    try:
        yield await connection.channel()
    finally:
        with suppress(Exception):
            async with asyncio.timeout(2):
                await connection.close()


def _refused(client: RabbitMQClient, vhost: str, error: Exception) -> StoreError:
    match error:
        case exceptions.AuthenticationError() | exceptions.ProbableAuthenticationError():
            return Denied(f"{client.label} refused the user or password of roles.{client.role}.amqp_url.")
        case exceptions.ConnectionClosed() | exceptions.ConnectionNotAllowed():
            return Denied(f"{client.label} refused an AMQP connection to vhost {vhost} ({error}).")
        case _:
            return Unreachable(
                f"{client.label} cannot be reached over AMQP ({str(error) or type(error).__name__}). "
                f"Is roles.{client.role}.amqp_url right?"
            )


def _items(response: httpx.Response) -> int:
    """The number of objects in an answer."""
    try:
        found = response.json()
    except (ValueError, RecursionError):
        return 0
    return len(found) if isinstance(found, list) else 1


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json().get("reason") or response.json().get("error"))
    except (ValueError, AttributeError, RecursionError):
        return response.reason_phrase or "no reason given"
