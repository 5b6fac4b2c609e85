"""Users of a server for SDK tests: registered by an administrator, with tokens, awaited until they are online."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

from suites.contract.openim.sdk.target import SdkTarget

# Two tokens of one user and platform within one second are the same text.
_BETWEEN_ISSUES_S = 1.1
_TIMEOUT_S, _POLL_S = 30.0, 0.05


class People:
    """What an administrator does for the tests. Each test has users of its own."""

    def __init__(self, target: SdkTarget) -> None:
        self._target = target
        self._http = httpx.Client(base_url=target.api_url, timeout=_TIMEOUT_S, trust_env=False)
        self._token = ""
        self._issued: dict[tuple[str, int], float] = {}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def register(self, *names: str) -> list[str]:
        """Register fresh users with these nicknames and return their ids."""
        prefix = f"k{secrets.token_hex(4)}"
        ids = [f"{prefix}{name}" for name in names]
        users = [{"userID": user_id, "nickname": name} for user_id, name in zip(ids, names, strict=True)]
        self.ask("/user/user_register", {"users": users})
        return ids

    def token(self, user_id: str, platform_id: int) -> str:
        """A new token; a second one for a platform comes in another second, so that it is another text."""
        key = (user_id, platform_id)
        if key in self._issued:
            time.sleep(max(0.0, self._issued[key] + _BETWEEN_ISSUES_S - time.monotonic()))
        self._issued[key] = time.monotonic()
        answer = self.ask("/auth/get_user_token", {"userID": user_id, "platformID": platform_id})
        return str(answer["token"])

    def are_online(self, *user_ids: str) -> None:
        """Wait until the server counts them as online: before that nothing is pushed to them (traps R2, SDK 7)."""
        self.wait(lambda: set(self._statuses(user_ids)) == {1}, f"{user_ids} to be online")

    def is_offline(self, user_id: str) -> None:
        """Wait until the server counts a user as offline."""
        self.wait(lambda: self._statuses([user_id]) == [0], f"{user_id} to be offline")

    def has_seq(self, user_id: str, conversation_id: str, seq: int) -> None:
        """Wait until a conversation has come so far: an ack comes before the seq (trap SDK 8)."""

        def reached() -> bool:
            newest = self.ask("/msg/newest_seq", {"userID": user_id}).get("maxSeqs", {})
            return bool(newest.get(conversation_id, 0) >= seq)

        self.wait(reached, f"{conversation_id} to have seq {seq}")

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds, as long as the target needs at most."""
        deadline = time.monotonic() + self._target.settle_s
        while not holds():
            assert time.monotonic() < deadline, f"Waited {self._target.settle_s} s for {what}"
            time.sleep(_POLL_S)

    def ask(self, route: str, body: dict[str, Any]) -> Any:
        """Call a route as the administrator; any refusal fails the test."""
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
        return [one["status"] for one in self.ask("/user/get_users_online_status", {"userIDs": list(user_ids)})]
