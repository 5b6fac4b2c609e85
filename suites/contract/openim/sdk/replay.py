"""Making the recorded calls of client SDKs again, in order, with the steps on their WebSockets in between."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import tomllib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
from google.protobuf.message import DecodeError

from suites.contract.openim.sdk import recording
from suites.contract.openim.sdk.comparison import SdkComparison, count_made
from suites.contract.openim.sdk.connection import SdkConnection
from suites.contract.openim.sdk.recording import PROTOBUF, Connect, Disconnect, SdkCall, SendText, SocketStep, plain
from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.openim.shared.bindings import RECORDED_ADMIN, RECORDED_SECRET
from suites.contract.openim.shared.token_timing import BETWEEN_ISSUES_S

DEVIATIONS = Path(__file__).parents[1] / "sdk_deviations.toml"

_NO_TOKEN = "<none>"  # noqa: S105 - the recording's symbol
_RETRY_EVERY_S = 0.1
# These change something and are sent once. All other calls are repeated until the answer is the recorded one or the time
# is over: those that only read, and revoking, which fails with 500 until the message is in the database [F86].
_SENT_ONCE = ("/auth/", "/user/user_register", "/user/update_user_info_ex", "/group/create_group", "/msg/mark_")
_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class SdkOutcome:
    """One replayed call. `made` counts the values in its answer that the server makes."""

    call: SdkCall
    differences: list[str]
    made: int
    attempts: int


def deviations() -> dict[int, str]:
    """Call number -> reason, of the declared deviations of the double."""
    listed = tomllib.loads(DEVIATIONS.read_text()).get("deviation", [])
    return {entry["call"]: entry["reason"] for entry in listed}


async def replay(target: SdkTarget) -> list[SdkOutcome]:
    """Make all calls. Raises ConnectionError or TimeoutError where a step on a WebSocket fails."""
    async with AsyncExitStack() as stack:
        http = httpx.AsyncClient(base_url=target.api_url, timeout=_TIMEOUT_S, trust_env=False)
        replaying = _Replay(target, await stack.enter_async_context(http), recording.load())
        stack.push_async_callback(replaying.close)
        return [await replaying.make(call) for call in replaying.calls]


class _Replay:
    """The calls and steps of one replay, and what they have in common."""

    def __init__(self, target: SdkTarget, http: httpx.AsyncClient, calls: list[SdkCall]) -> None:
        self.calls = calls
        self._target = target
        self._http = http
        self._token_users = recording.token_users(calls)
        self._nicknames = recording.nicknames(calls)
        fresh = {prefix: secrets.token_hex(4) for prefix in recording.PREFIXES}
        self._comparison = SdkComparison({**fresh, RECORDED_ADMIN: target.admin, RECORDED_SECRET: target.secret})
        self._connections: dict[str, SdkConnection] = {}
        self._issued: dict[tuple[str, int], float] = {}

    async def make(self, call: SdkCall) -> SdkOutcome:
        """Take the steps before a call, make the call, and compare the answer."""
        for step in recording.steps_before(call.number):
            await self._take(step)
        await self._pace(call)
        deadline = time.monotonic() + self._target.settle_s
        attempts = 0
        while True:
            attempts += 1
            comparison = self._comparison.copy()
            found = await self._attempt(call, comparison)
            late = time.monotonic() >= deadline
            if not found or late or call.path.startswith(_SENT_ONCE):
                self._comparison = comparison
                return SdkOutcome(
                    call=call,
                    differences=found,
                    made=count_made(recording.readable(call, call.response)),
                    attempts=attempts,
                )
            await asyncio.sleep(_RETRY_EVERY_S)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            await connection.close()

    async def _take(self, step: SocketStep) -> None:
        user_id, platform_id = self._token_users[step.login]
        sender = self._comparison.filled(user_id)
        match step:
            case Connect():
                token = self._comparison.filled(step.login)
                self._connections[step.login] = await SdkConnection.connect(
                    self._target.ws_url, user_id=sender, token=token, platform_id=platform_id
                )
            case Disconnect():
                await self._connections.pop(step.login).close()
            case SendText():
                await self._connections[step.login].send_text(
                    step.text,
                    sender=sender,
                    nickname=self._nicknames[user_id],
                    recv_id=self._comparison.filled(step.recv_id),
                    group_id=self._comparison.filled(step.group_id),
                )

    async def _pace(self, call: SdkCall) -> None:
        if call.path != "/auth/get_user_token":
            return
        key = (call.request["userID"], call.request["platformID"])
        if key in self._issued:
            await asyncio.sleep(max(0.0, self._issued[key] + BETWEEN_ISSUES_S - time.monotonic()))
        self._issued[key] = time.monotonic()

    async def _attempt(self, call: SdkCall, comparison: SdkComparison) -> list[str]:
        messages = PROTOBUF.get(call.path)
        headers = {"operationID": secrets.token_hex(8), "Content-Type": "application/json"}
        if call.token != _NO_TOKEN:
            headers["token"] = comparison.filled(call.token)
        if messages is None:
            body = json.dumps(comparison.filled(call.request)).encode()
        else:
            headers["Content-Type"] = "application/x-protobuf"
            recorded_request = plain(messages[0].FromString(call.request.encode()))
            body = messages[0](**comparison.filled(recorded_request)).SerializeToString()
        response = await self._http.request(call.method, call.path, content=body, headers=headers)
        if response.status_code != call.status:
            return [f"HTTP {response.status_code}, recorded {call.status}"]
        recorded = recording.readable(call, call.response)
        try:
            answered = recording.readable(call, response.json())
        except (ValueError, DecodeError) as error:
            return [f"the answer cannot be read: {error}; it begins with {response.text[:80]!r}"]
        return list(comparison.differences(recorded, answered))


def run(target: SdkTarget) -> list[SdkOutcome]:
    """`replay`, for code that is not asynchronous."""
    return asyncio.run(replay(target))
