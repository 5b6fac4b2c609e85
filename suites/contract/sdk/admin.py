"""The administrator of a server in SDK tests: registers users, issues tokens, waits for the state of the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.openim.shared.token_timing import BETWEEN_ISSUES_S

_TIMEOUT_S, _POLL_S = 30.0, 0.05


class Admin:
    """The administrator. Each test registers its own users."""

    def __init__(self, target: SdkTarget) -> None:
        self._target = target
        self._http = httpx.Client(base_url=target.api_url, timeout=_TIMEOUT_S, trust_env=False)
        self._token = ""
        self._issued: dict[tuple[str, int], float] = {}

    def close(self) -> None:
        """Close the HTTP client."""
        self._http.close()

    def register(self, *names: str) -> list[str]:
        """Register new users with these nicknames and return their ids."""
        prefix = f"k{secrets.token_hex(4)}"
        ids = [f"{prefix}{name}" for name in names]
        users = [{"userID": user_id, "nickname": name} for user_id, name in zip(ids, names, strict=True)]
        self.call("/user/user_register", {"users": users})
        return ids

    def token(self, user_id: str, platform_id: int) -> str:
        """A new token. A second one for a platform is issued in another second, so that it differs [F26]."""
        key = (user_id, platform_id)
        if key in self._issued:
            time.sleep(max(0.0, self._issued[key] + BETWEEN_ISSUES_S - time.monotonic()))
        self._issued[key] = time.monotonic()
        answer = self.call("/auth/get_user_token", {"userID": user_id, "platformID": platform_id})
        return str(answer["token"])

    def wait_online(self, *user_ids: str) -> None:
        """Wait until the server shows them as online; before that nothing is pushed to them [F119, F122]."""
        self.wait_until(lambda: set(self._statuses(user_ids)) == {1}, f"{user_ids} to be online")

    def wait_offline(self, user_id: str) -> None:
        """Wait until the server shows a user as offline."""
        self.wait_until(lambda: self._statuses([user_id]) == [0], f"{user_id} to be offline")

    def wait_for_seq(self, user_id: str, conversation_id: str, seq: int) -> None:
        """Wait until a conversation has this seq; the acknowledgement of a message comes before its seq [F79]."""

        def reached() -> bool:
            newest = self.call("/msg/newest_seq", {"userID": user_id}).get("maxSeqs", {})
            return bool(newest.get(conversation_id, 0) >= seq)

        self.wait_until(reached, f"{conversation_id} to have seq {seq}")

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until a condition is true, for at most `settle_s` of the target."""
        deadline = time.monotonic() + self._target.settle_s
        while not holds():
            assert time.monotonic() < deadline, f"Waited {self._target.settle_s} s for {what}"
            time.sleep(_POLL_S)

    def call(self, route: str, body: dict[str, Any]) -> Any:
        """Call a route as the administrator; a refusal fails the test."""
        if not self._token:
            login = {"secret": self._target.secret, "userID": self._target.admin}
            self._token = self._post("/auth/get_admin_token", login)["token"]
        return self._post(route, body)

    def _post(self, route: str, body: dict[str, Any]) -> Any:
        headers = {"operationID": secrets.token_hex(8), **({"token": self._token} if self._token else {})}
        answer = self._http.post(route, json=body, headers=headers).json()
        assert answer["errCode"] == 0, f"{route}: {answer}"
        return answer.get("data", {})

    def _statuses(self, user_ids: Any) -> list[int]:
        return [one["status"] for one in self.call("/user/get_users_online_status", {"userIDs": list(user_ids)})]
