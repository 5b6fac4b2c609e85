"""Making the recorded calls of client SDKs again, in order, with their sockets' steps in between."""

from __future__ import annotations

import asyncio
import json
import secrets
import tomllib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
from google.protobuf.message import DecodeError

from suites.contract.openim import sdk_recording
from suites.contract.openim.sdk_match import Names, made
from suites.contract.openim.sdk_recording import PROTOBUF, Connect, Leave, Say, SdkCall, Step, plain
from suites.contract.openim.sdk_sockets import Socket
from suites.contract.openim.sdk_target import SdkTarget

DEVIATIONS = Path(__file__).parent / "sdk_deviations.toml"

_ADMIN, _SECRET = "imAdmin", "openIM123"
_NO_TOKEN = "<none>"  # noqa: S105 - the recording's symbol
# Two tokens of one user and platform within one second are the same text.
_BETWEEN_ISSUES_S = 1.1
_AGAIN_EVERY_S = 0.1
# What changes nothing, and revoking, which the real server refuses with 500 until the message is in its database.
_ASKED_ONCE = ("/auth/", "/user/user_register", "/user/update_user_info_ex", "/group/create_group", "/msg/mark_")
_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class SdkOutcome:
    """One call as it went; `made` counts the values of its answer that a server makes."""

    call: SdkCall
    differences: list[str]
    made: int
    attempts: int


def deviations() -> dict[int, str]:
    """Call number -> reason of the deviations that the double has."""
    listed = tomllib.loads(DEVIATIONS.read_text()).get("deviation", [])
    return {entry["call"]: entry["reason"] for entry in listed}


async def replay(target: SdkTarget) -> list[SdkOutcome]:
    """Make all calls. A step on a socket that fails ends the replay with its reason."""
    async with AsyncExitStack() as stack:
        http = httpx.AsyncClient(base_url=target.api_url, timeout=_TIMEOUT_S, trust_env=False)
        run = _Replay(target, await stack.enter_async_context(http), sdk_recording.load())
        stack.push_async_callback(run.close)
        return [await run.make(call) for call in run.calls]


class _Replay:
    def __init__(self, target: SdkTarget, http: httpx.AsyncClient, calls: list[SdkCall]) -> None:
        self.calls = calls
        self._target = target
        self._http = http
        self._holders = sdk_recording.holders(calls)
        self._nicknames = sdk_recording.nicknames(calls)
        fresh = {prefix: secrets.token_hex(4) for prefix in sdk_recording.PREFIXES}
        self._names = Names({**fresh, _ADMIN: target.admin, _SECRET: target.secret})
        self._sockets: dict[str, Socket] = {}
        self._issued: dict[tuple[str, int], float] = {}

    async def make(self, call: SdkCall) -> SdkOutcome:
        """Take the steps before a call, make it, and compare."""
        for step in sdk_recording.steps_before(call.number):
            await self._take(step)
        await self._pace(call)
        deadline = asyncio.get_running_loop().time() + self._target.settle_s
        attempts = 0
        while True:
            attempts += 1
            names = self._names.copy()
            found = await self._attempt(call, names)
            late = asyncio.get_running_loop().time() >= deadline
            if not found or late or call.path.startswith(_ASKED_ONCE):
                self._names = names
                return SdkOutcome(
                    call=call,
                    differences=found,
                    made=made(sdk_recording.readable(call, call.response)),
                    attempts=attempts,
                )
            await asyncio.sleep(_AGAIN_EVERY_S)

    async def close(self) -> None:
        """Leave with all connections."""
        for socket in self._sockets.values():
            await socket.leave()

    async def _take(self, step: Step) -> None:
        user_id, platform_id = self._holders[step.login]
        sender = self._names.fill(user_id)
        match step:
            case Connect():
                token = self._names.fill(step.login)
                self._sockets[step.login] = await Socket.connect(
                    self._target.ws_url, user_id=sender, token=token, platform_id=platform_id
                )
            case Leave():
                await self._sockets.pop(step.login).leave()
            case Say():
                await self._sockets[step.login].say(
                    step.text,
                    sender=sender,
                    nickname=self._nicknames[user_id],
                    recv_id=self._names.fill(step.recv_id),
                    group_id=self._names.fill(step.group_id),
                )

    async def _pace(self, call: SdkCall) -> None:
        if call.path != "/auth/get_user_token":
            return
        key = (call.request["userID"], call.request["platformID"])
        loop = asyncio.get_running_loop()
        if key in self._issued:
            await asyncio.sleep(max(0.0, self._issued[key] + _BETWEEN_ISSUES_S - loop.time()))
        self._issued[key] = loop.time()

    async def _attempt(self, call: SdkCall, names: Names) -> list[str]:
        spoken = PROTOBUF.get(call.path)
        headers = {"operationID": secrets.token_hex(8), "Content-Type": "application/json"}
        if call.token != _NO_TOKEN:
            headers["token"] = names.fill(call.token)
        if spoken is None:
            body = json.dumps(names.fill(call.request)).encode()
        else:
            headers["Content-Type"] = "application/x-protobuf"
            asked = plain(spoken[0].FromString(call.request.encode()))
            body = spoken[0](**names.fill(asked)).SerializeToString()
        response = await self._http.request(call.method, call.path, content=body, headers=headers)
        if response.status_code != call.status:
            return [f"HTTP {response.status_code}, recorded {call.status}"]
        recorded = sdk_recording.readable(call, call.response)
        try:
            answered = sdk_recording.readable(call, response.json())
        except (ValueError, DecodeError) as error:
            return [f"the answer cannot be read: {error}; it begins with {response.text[:80]!r}"]
        return list(names.differences(recorded, answered))


def run(target: SdkTarget) -> list[SdkOutcome]:
    """`replay` for who is not asynchronous."""
    return asyncio.run(replay(target))
