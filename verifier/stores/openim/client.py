"""OpenIM's REST API: requests to the routes that only read.

Nearly every error has HTTP status 200, so the envelope's errCode decides [F2]. Other statuses come from a proxy in front, from OpenIM's
rate limiter or from its circuit breaker; `responses` says what they mean.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import OpenIMRole
from verifier.stores.budget import Budget
from verifier.stores.errors import Denied, RouteClosed, StoreError, Unreachable
from verifier.stores.http import guarded_client
from verifier.stores.openim.answers import StrangeAnswer, listed, mapping, text, time_ms
from verifier.stores.openim.codes import TOKEN_CODES
from verifier.stores.openim.guard import is_read_request
from verifier.stores.openim.responses import Busy, envelope_of
from verifier.stores.statement_log import StatementLog

PAUSES_S = (0.25, 0.5, 1.0)
"""Pauses before a request is repeated that was answered "busy" without a time to wait."""


class OpenIMRefusal(StoreError):
    """OpenIM answered with an error code, `code`; `detail` is its text about the request."""

    def __init__(self, label: str, route: str, code: int, message: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        first = message.splitlines()[0] if message else ""
        super().__init__(f"{label} answered {route} with errCode {code} ({first}{': ' + detail if detail else ''}).")


class OpenIMClient:
    """OpenIM through REST, with an administrator's token that is given or is issued at most once per run."""

    clock_grain_s = 0.0

    def __init__(self, role: str, config: OpenIMRole, budget: StoreBudget | None = None) -> None:
        self.role = role
        self.config = config
        self.label = f"{role} (OpenIM REST)"
        self.statement_log = StatementLog()
        self.limits = budget or StoreBudget()
        self.budget = Budget(
            self.limits, timeout_s=config.operation_timeout_s, store=self.label, statement_log=self.statement_log
        )
        self.batch_size = config.batch_size
        """How many ids one request asks for. It becomes smaller when a proxy refuses a request for its size."""
        self._not_before = 0.0
        self._in_trouble = False
        self._jitter: Callable[[], float] = random.random
        self._token = config.admin_token.get_secret_value() if config.admin_token else ""
        self._token_lock = asyncio.Lock()
        try:
            # OpenIM's installers put the API behind a path of the proxy, such as /api.
            self._prefix = httpx.URL(config.api_url).path.rstrip("/")
            self._client = guarded_client(
                config.api_url,
                lambda method, path: (
                    path.startswith(self._prefix) and is_read_request(method, path.removeprefix(self._prefix))
                ),
                self.statement_log,
                timeout_s=config.operation_timeout_s,
                connect_timeout_s=config.connect_timeout_s,
                ca_file=config.tls_ca_file,
                label=self.label,
            )
        except (httpx.InvalidURL, OSError) as error:
            raise StoreError(
                f"{self.label}: {error}. Correct api_url or tls_ca_file of roles.{role} in the profile."
            ) from None

    async def connect(self) -> None:
        """Check that OpenIM accepts the token as an administrator's, and that each question gets its own answer."""
        await self._ensure_token()
        for _ in range(2):
            await self._probe()

    async def _probe(self) -> None:
        """Ask whether an id is registered that nobody has used. Raises StoreError for an answer about another id, as from a
        cache that does not look at the request's body, and for a server to which every id is registered."""
        name = f"verifier_probe_{uuid.uuid4().hex}"
        data = await self.call("/user/account_check", {"checkUserIDs": [name]})
        try:
            results = [item for item in listed(data, "results") if isinstance(item, Mapping)]
        except StrangeAnswer as error:
            raise self.strange("/user/account_check", error) from None
        if any(isinstance(item.get("userID"), str) and item["userID"] != name for item in results):
            raise StoreError(
                f"{self.label} answers /user/account_check with the answer to another request. Does a proxy in front keep answers "
                f"in a cache, or confuse them? Give roles.{self.role}.api_url an address behind it."
            )
        if any(item.get("accountStatus") == 1 for item in results):
            raise StoreError(
                f"{self.label} says that an id is registered which nobody has used, so that its other answers prove nothing. "
                f"Does roles.{self.role}.api_url point to an OpenIM?"
            )

    async def close(self) -> None:
        """Close the connections. The token is not logged out, because that would be a write."""
        await self._client.aclose()

    async def call(self, route: str, body: dict[str, Any]) -> Any:
        """POST to an allowed route and return `data` (None where OpenIM sends none).

        Raises OpenIMRefusal for an errCode, Denied for a token that is refused, Unreachable for the network.
        """
        await self._ensure_token()
        try:
            return await self._post(route, body)
        except OpenIMRefusal as refusal:
            if refusal.code in TOKEN_CODES:
                raise Denied(
                    f"{self.label}: the admin token is {TOKEN_CODES[refusal.code]}. Another client that requests a token for the "
                    f"same admin id ends it after 300 s: give the verifier its own admin id in roles.{self.role}."
                ) from None
            if refusal.code == 1002:
                raise Denied(f"{refusal} Its user id must be among OpenIM's admin ids.") from None
            raise

    async def _ensure_token(self) -> None:
        async with self._token_lock:
            if self._token:
                return
            secret = self.config.secret.get_secret_value() if self.config.secret else ""
            body = {"secret": secret, "userID": self.config.admin_user_id}
            try:
                self._token = text(mapping(await self._post("/auth/get_admin_token", body)), "token")
            except OpenIMRefusal as refusal:
                if refusal.code in (1001, 1002, 1004):
                    raise Denied(
                        f"{self.label} gives no admin token to {self.config.admin_user_id!r} (errCode {refusal.code}). "
                        f"Check secret and admin_user_id of roles.{self.role}."
                    ) from None
                raise
            except StrangeAnswer as error:
                raise self.strange("/auth/get_admin_token", error) from None

    def strange(self, route: str, error: StrangeAnswer) -> StoreError:
        """The error for an answer that cannot be OpenIM's."""
        return StoreError(f"{self.label} answered {route} in another form than OpenIM 3.8 does: {error}.")

    @property
    def own_token(self) -> str:
        """The administrator's token, which is valid as long as requests are answered."""
        return self._token

    async def parse_token(self, token: str) -> Any:
        """The reply of `parse_token` to a token. Raises OpenIMRefusal. It may come from a 300 s cache [F29]."""
        return await self._post("/auth/parse_token", {"token": token})

    async def configuration(self, name: str) -> Any:
        """One of OpenIM's configuration files as it is in force, by name (`share.yml`) [F14]; None for an unknown name.

        Raises RouteClosed where the route is refused or does not exist. The result contains secrets: the caller keeps only
        the settings that it judges.
        """
        await self._ensure_token()
        try:
            data = await self._post("/config/get_config", {"configName": name})
        except OpenIMRefusal as refusal:
            if refusal.code == 1002:
                raise RouteClosed(f"{refusal} The verifier's admin id may not read the configuration.") from None
            if refusal.code == 1001:
                return None
            raise
        try:
            return json.loads(data) if isinstance(data, str) else data
        except (ValueError, RecursionError):
            raise StoreError(f"{self.label} answered /config/get_config with something other than JSON.") from None

    async def _post(self, route: str, body: dict[str, Any]) -> Any:
        """Send a request, again while the server or a proxy is busy, for at most the role's `operation_timeout_s`."""
        patience_until = time.monotonic() + self.config.operation_timeout_s
        pauses = iter(() if self._in_trouble else PAUSES_S)
        while True:
            await self._wait()
            try:
                envelope = await self._ask(route, body)
            except Busy as busy:
                wait_s = next(pauses, None) if busy.wait_s is None else max(busy.wait_s, PAUSES_S[0])
                if wait_s is None or time.monotonic() + wait_s > patience_until:
                    # After one request was given up, the next ones are sent once each, so that a dead proxy costs little.
                    self._in_trouble = True
                    raise self._given_up(busy) from None
                # All requests wait, and the random part keeps them from being sent at the same moment.
                self._not_before = max(self._not_before, time.monotonic() + wait_s)
                await asyncio.sleep(wait_s * self._jitter() / 4)
                self.statement_log.backed_off += 1
                continue
            self._in_trouble = False
            return self._data(route, envelope)

    def _given_up(self, busy: Busy) -> StoreError:
        if busy.wait_s is not None:
            return StoreError(
                f"{busy} It asks to wait {busy.wait_s:g} s, and the request was given up after operation_timeout_s "
                f"({self.config.operation_timeout_s:g} s). Lower budgets.{self.role}.statements_per_s, or raise the limit for the verifier."
            )
        return StoreError(f"{busy} It was asked several times. Look at the proxy's log and at OpenIM behind it.")

    async def _wait(self) -> None:
        """Wait as long as the server asked all requests to wait."""
        while (wait_s := self._not_before - time.monotonic()) > 0:
            self.statement_log.waited_s += wait_s
            await asyncio.sleep(wait_s)

    async def _ask(self, route: str, body: dict[str, Any]) -> Mapping[str, Any]:
        headers = {"operationID": f"verifier-{uuid.uuid4().hex}", "token": self._token}

        async def ask() -> Mapping[str, Any]:
            response = await self._send(route, body, headers)
            return envelope_of(response, self.label, self.role, route)

        return await self.budget.run(ask, kind=f"POST {self._prefix}{route}", rows=_items)

    def _data(self, route: str, envelope: Mapping[str, Any]) -> Any:
        code = envelope["errCode"]
        if code:
            raise OpenIMRefusal(
                self.label, route, code, str(envelope.get("errMsg", "")), str(envelope.get("errDlt", ""))
            )
        return envelope.get("data")

    async def _send(self, route: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        try:
            return await self._client.post(route, json=body, headers=headers)
        except httpx.TimeoutException:
            raise Unreachable(f"{self.label} did not answer {route} in time.") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise StoreError(f"{self.label}: {error}. Correct roles.{self.role}.api_url.") from None
        except httpx.HTTPError as error:
            hint = (
                f"Set roles.{self.role}.tls_ca_file to the authority of its certificate."
                if "CERTIFICATE_VERIFY_FAILED" in str(error)
                else f"Is roles.{self.role}.api_url right?"
            )
            raise Unreachable(
                f"{self.label} cannot be reached ({str(error) or type(error).__name__}). {hint}"
            ) from None

    async def clock(self) -> datetime:
        """OpenIM's clock."""
        data = await self.call("/msg/get_server_time", {})
        try:
            return time_ms(mapping(data), "serverTime")
        except StrangeAnswer as error:
            raise self.strange("/msg/get_server_time", error) from None

    async def version(self) -> str:
        """A fixed text: OpenIM's REST API does not show its version."""
        return "OpenIM (its API does not show the version)"


def _items(envelope: Mapping[str, Any]) -> int:
    """The number of records in an answer: the length of the longest list in its data."""
    data = envelope.get("data")
    lists = data.values() if isinstance(data, dict) else ()
    return max((len(item) for item in lists if isinstance(item, list)), default=0)
