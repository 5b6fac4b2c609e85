"""OpenIM's REST API: requests to the routes that only read.

Nearly every error has HTTP status 200, so the envelope's errCode decides [F2].
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import OpenIMRole
from verifier.stores.budget import Budget
from verifier.stores.errors import Denied, RouteClosed, StoreError, Unreachable
from verifier.stores.http import guarded_client
from verifier.stores.openim.codes import TOKEN_CODES
from verifier.stores.openim.guard import is_read_request
from verifier.stores.statement_log import StatementLog


class OpenIMRefusal(StoreError):
    """OpenIM answered with an error code, `code`."""

    def __init__(self, label: str, route: str, code: int, message: str, detail: str) -> None:
        self.code = code
        text = message.splitlines()[0] if message else ""
        super().__init__(f"{label} answered {route} with errCode {code} ({text}{': ' + detail if detail else ''}).")


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
        self._client = guarded_client(
            config.api_url,
            is_read_request,
            self.statement_log,
            timeout_s=config.operation_timeout_s,
            connect_timeout_s=config.connect_timeout_s,
            ca_file=config.tls_ca_file,
        )
        self._token = config.admin_token.get_secret_value() if config.admin_token else ""
        self._token_lock = asyncio.Lock()

    async def connect(self) -> None:
        """Check that OpenIM accepts the token as an administrator's."""
        await self._ensure_token()
        await self.call("/user/account_check", {"checkUserIDs": ["openim_verifier_probe"]})

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
                data = await self._post("/auth/get_admin_token", body)
            except OpenIMRefusal as refusal:
                if refusal.code in (1001, 1002, 1004):
                    raise Denied(
                        f"{self.label} gives no admin token to {self.config.admin_user_id!r} (errCode {refusal.code}). "
                        f"Check secret and admin_user_id of roles.{self.role}."
                    ) from None
                raise
            self._token = str(data["token"])

    async def token_state(self, token: str) -> int:
        """The state of a user's imToken by `parse_token`: 0 for valid, otherwise the error code. It may come from a 300 s
        cache [F29]."""
        try:
            await self._post("/auth/parse_token", {"token": token})
        except OpenIMRefusal as refusal:
            return refusal.code
        return 0

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
        except ValueError:
            raise StoreError(f"{self.label} answered /config/get_config with something other than JSON.") from None

    async def _post(self, route: str, body: dict[str, Any]) -> Any:
        headers = {"operationID": f"verifier-{uuid.uuid4().hex}", "token": self._token}
        response = await self.budget.run(lambda: self._send(route, body, headers), kind=f"POST {route}", rows=_items)
        if response.status_code in (403, 404, 405):
            raise RouteClosed(
                f"{self.label} answered {route} with HTTP {response.status_code}: the route is closed, or api_url does not "
                "point to an OpenIM API of version 3.8."
            )
        if response.status_code != 200 or not response.content:
            raise StoreError(
                f"{self.label} answered {route} with HTTP {response.status_code}. "
                "Does api_url point to an OpenIM API of version 3.8?"
            )
        try:
            envelope = response.json()
            code = int(envelope["errCode"])
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"{self.label} answered {route} without OpenIM's envelope. Does api_url point to OpenIM's API?"
            ) from None
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
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self.label} cannot be reached ({str(error) or type(error).__name__}). Is roles.{self.role}.api_url right?"
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise StoreError(f"{self.label}: {error}. Correct roles.{self.role}.api_url.") from None

    async def clock(self) -> datetime:
        """OpenIM's clock."""
        data = await self.call("/msg/get_server_time", {})
        return datetime.fromtimestamp(int(data["serverTime"]) / 1000, UTC)

    async def version(self) -> str:
        """A fixed text: OpenIM's REST API does not show its version."""
        return "OpenIM (its API does not show the version)"


def _items(response: httpx.Response) -> int:
    """The number of records in an answer: the length of the longest list in its data."""
    try:
        data = response.json().get("data")
    except (ValueError, AttributeError):
        return 0
    lists = data.values() if isinstance(data, dict) else ()
    return max((len(item) for item in lists if isinstance(item, list)), default=0)
