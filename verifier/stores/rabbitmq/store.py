"""RabbitMQ: the management API by GET, passive declares and the operator's tap queue over AMQP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from verifier.profile.budgets import StoreBudget
from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole
from verifier.stores.budget import Budget
from verifier.stores.errors import Denied, Missing, StoreError, Unreachable
from verifier.stores.http import guarded_client
from verifier.stores.protocols import Privilege, StoreObject
from verifier.stores.rabbitmq.guard import is_read_request
from verifier.stores.statement_log import StatementLog

if TYPE_CHECKING:
    from verifier.profile.timing import Timing
    from verifier.stores.rabbitmq.amqp import Declared, QueueState, TapSource
    from verifier.stores.rabbitmq.observer import QueueObserver

WRITE_TAGS = {"administrator": "may change everything", "policymaker": "may set policies and parameters"}
# The Date header tells whole seconds, cut off: half a second later is the best guess.
_HALF_SECOND = timedelta(milliseconds=500)


def segment(text: str) -> str:
    """A name as one path segment: the vhost `/` is `%2F`."""
    return quote(text, safe="")


class RabbitMQStore:
    """One broker (or cluster); every request passes `is_read_request`, AMQP has two reading methods only."""

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
        self._taps: dict[str, TapSource] = {}
        url = urlsplit(config.management_url.get_secret_value())
        if url.scheme not in ("http", "https") or not url.hostname:
            raise StoreError(
                f"{self.label}: roles.{role}.management_url is no URL. It looks like http://USER:PASSWORD@HOST:15672"
            )
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
        """Find out who we are for the broker."""
        try:
            await self.get("/api/whoami")
        except Denied:
            raise Denied(
                f"{self.label} refused the user or password of roles.{self.role}.management_url, or the user lacks the tag "
                "monitoring. Correct it, or the secret it comes from."
            ) from None

    async def close(self) -> None:
        """Close every connection."""
        with suppress(Exception):
            await self._client.aclose()

    async def get(self, path: str, **parameters: str | int) -> Any:
        """GET an allowed path of the API: the decoded answer.

        Raises Denied for 401 and 403, Missing for 404, Unreachable for the network, StoreError for anything else.
        """
        return (await self.get_dated(path, **parameters))[0]

    async def get_dated(self, path: str, **parameters: str | int) -> tuple[Any, datetime]:
        """The same, with the broker's time of the answer."""
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
            raise StoreError(
                f"{self.label} answered GET {path} with HTTP {response.status_code} ({_reason(response)}). "
                f"Does roles.{self.role}.management_url point at the management plugin?"
            )
        try:
            at = parsedate_to_datetime(response.headers["date"]).astimezone(UTC) + _HALF_SECOND
            return response.json(), at
        except (ValueError, KeyError):
            raise StoreError(
                f"{self.label} did not answer GET {path} as RabbitMQ's management API does. "
                f"Does roles.{self.role}.management_url point at the management plugin?"
            ) from None

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
        """The broker's clock, to half a second."""
        return (await self.get_dated("/api/whoami"))[1]

    async def version(self) -> str:
        """`RabbitMQ 3.10.8`."""
        overview = await self.get("/api/overview")
        return f"{overview.get('product_name', 'RabbitMQ')} {overview.get('rabbitmq_version', '?')}"

    async def privileges(self) -> Sequence[Privilege]:
        """What the user's tags and, where the broker tells them, permissions allow beyond reading."""
        me = await self.get("/api/whoami")
        name, tags = str(me.get("name", "?")), _tags(me.get("tags"))
        found = [
            Privilege(self.label, f"tag {tag}", "too_many", f"{name} {what}")
            for tag, what in WRITE_TAGS.items()
            if tag in tags
        ]
        if not tags & {"monitoring", "administrator"}:
            found.append(
                Privilege(
                    self.label, "tag monitoring", "missing", f"{name} does not see the broker's counters without it"
                )
            )
        return [*found, await self._permissions(name)]

    async def _permissions(self, name: str) -> Privilege:
        what = "permissions in the vhosts"
        try:
            entries = await self.get(f"/api/users/{segment(name)}/permissions")
        except Denied:
            detail = f"the broker tells them to administrators only; check: rabbitmqctl list_user_permissions {name}"
            return Privilege(self.label, what, "unknown", detail)
        could = [
            f"{verb} {entry[verb]!r} in {entry['vhost']}"
            for entry in entries
            for verb in ("configure", "write", "read")
            if entry.get(verb) not in ("", "^$")
        ]
        if could:
            shown = ", ".join(could[:3]) + (f" and {len(could) - 3} more" if len(could) > 3 else "")
            return Privilege(self.label, what, "too_many", f"{name} has {shown}; entries with '^$' are enough to look")
        return Privilege(self.label, what, "ok", f"{name} may configure, write and read nothing")

    async def vhosts(self) -> list[str]:
        """The names of all vhosts, also of those that cannot be looked into."""
        return sorted(str(item["name"]) for item in await self.get("/api/vhosts"))

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """`vhosts queues exchanges bindings consumers policies parameters`, of all vhosts.

        What could not be looked into comes as an object of kind `unreadable`.
        """
        from verifier.stores.rabbitmq.listing import list_objects

        return await list_objects(self, kind)

    def observer(self, queue: Queue, columns: tuple[str, ...], timing: Timing) -> QueueObserver:
        """What watches a queue for publishes and for being made anew."""
        from verifier.stores.rabbitmq.observer import QueueObserver

        return QueueObserver(self, queue, lag_s=timing.counter_flush_s)

    async def passive_queue(self, vhost: str, name: str) -> QueueState:
        """Whether a queue exists, by a passive declare: absent, present, exclusive or unknown (no AMQP, no access)."""
        return (await self.passive_declare(vhost, name)).state

    async def passive_declare(self, vhost: str, name: str) -> Declared:
        """The same, with the number of messages that are ready."""
        from verifier.stores.rabbitmq.amqp import Declared, passive_declare

        if self.config.amqp_url is None:
            return Declared("unknown")
        return await self.budget.run(lambda: passive_declare(self, vhost, name), kind="AMQP queue.declare passive")

    def tap(self, queue: Queue) -> TapSource:
        """The messages of the operator's tap queue: the only queue that is ever consumed from."""
        from verifier.stores.rabbitmq.amqp import TapSource

        return self._taps.setdefault(queue.name, TapSource(self, queue))


def _items(response: httpx.Response) -> int:
    """How many objects an answer lists."""
    try:
        found = response.json()
    except ValueError:
        return 0
    return len(found) if isinstance(found, list) else 1


def _tags(raw: Any) -> set[str]:
    """A list since 3.9, a comma-separated text before."""
    return {str(tag).strip() for tag in (raw.split(",") if isinstance(raw, str) else raw or [])}


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json().get("reason") or response.json().get("error"))
    except (json.JSONDecodeError, AttributeError, UnicodeDecodeError):
        return response.reason_phrase or "no reason given"
