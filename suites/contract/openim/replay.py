"""Sending recorded cases again and comparing the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from suites.contract.openim import recording
from suites.contract.openim.compare import differences
from suites.contract.openim.recording import Case, Symbols
from suites.contract.openim.server import Server
from suites.contract.openim.target import Target, double, live
from suites.contract.openim.ws.client import Connection

# Two tokens issued within one second are the same text, so different ones are asked for in different seconds.
_BETWEEN_ISSUES_S = 1.1
_LATEST_IN_SECOND = 0.3
# The recording says this in a note.
_EXTRA_WAIT_S = {"admin-old-token-after-grace": 301.0}
_ISSUING = {"/auth/get_user_token", "/auth/get_admin_token"}
# So is this said.
_ONLINE = re.compile(r"run with one WebSocket connection of (\S+) on platform (\d+)")


@dataclass(frozen=True)
class Outcome:
    """One case as it went: no differences means that the answer is the recorded one. `status` and `answer` are what came."""

    case: Case
    differences: list[str]
    status: int = 0
    answer: Any = None


@dataclass(frozen=True)
class Replayed:
    """The outcomes of a flow's own cases, and what its symbols stood for."""

    outcomes: list[Outcome]
    symbols: Symbols


async def replay(target: Target, flow: str, cases: list[Case] | None = None) -> Replayed:
    """Replay a flow, after the cases that it depends on."""
    cases = recording.load() if cases is None else cases
    symbols = Symbols(secret=target.secret, admin=target.admin, now_s=target.clock.now_s())
    pace, online = _Pace(target), _Online(target, symbols)
    outcomes = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(online.leave)
        for case in recording.closure(cases, flow):
            await online.before(case)
            await pace.before(case, symbols, cases)
            status, answer = await _send(target, case, symbols)
            target.clock.tick()
            symbols.bind(case.response, answer)
            if case.flow != flow:
                continue
            found = [] if status == case.status else [f"HTTP {status}, recorded {case.status}"]
            found += differences(symbols.fill(case.response), answer, volatile=case.volatile, unordered=case.unordered)
            outcomes.append(Outcome(case, found, status, answer))
    return Replayed(outcomes, symbols)


@dataclass
class _Online:
    """Keeps the WebSocket connections open with which some cases were recorded. Without a gateway they are not open."""

    target: Target
    symbols: Symbols
    _open: dict[tuple[str, str], Connection] = field(default_factory=dict)

    async def before(self, case: Case) -> None:
        """Connect whom the case needs online."""
        found = _ONLINE.search(case.note)
        if found is None or self.target.gateway is None or found.groups() in self._open:
            return
        user, platform = str(self.symbols.fill(found[1])), found[2]
        token = self.symbols.fill(f"<user:{found[1]}>")
        if token.startswith("<"):
            token = await self._token(user, int(platform))
        query = {
            "sendID": user,
            "token": token,
            "platformID": platform,
            "operationID": "online",
            "isBackground": "false",
            "sdkType": "js",
        }
        gateway = self.target.gateway
        head = (
            f"GET /?{urlencode(query)} HTTP/1.1\r\nHost: {gateway.host}:{gateway.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        connection = Connection(clock=self.target.clock.now_s, changed=lambda: None, auto_pong=True)
        self._open[found[1], platform] = connection
        await connection.open(gateway.host, gateway.port, head.encode(), timeout_s=gateway.patience_s, tls=gateway.tls)

    async def _token(self, user: str, platform: int) -> str:
        headers = {"operationID": "online", "token": str(self.symbols.fill("<admin>"))}
        body = {"userID": user, "platformID": platform}
        answer = (await self.target.http.post("/auth/get_user_token", json=body, headers=headers)).json()
        return str((answer.get("data") or {}).get("token", ""))

    async def leave(self) -> None:
        """Close them."""
        for connection in self._open.values():
            await connection.drop()


class _Pace:
    """Waits before a case what the recording waited."""

    def __init__(self, target: Target) -> None:
        self._clock = target.clock
        self._issued: dict[tuple[str, int], str] = {}

    async def before(self, case: Case, symbols: Symbols, cases: Iterable[Case]) -> None:
        """Let the recorded time go by, and the second change between different tokens of a user and platform."""
        await self._clock.sleep(case.settle_ms / 1000 + _EXTRA_WAIT_S.get(case.case, 0.0))
        if case.path not in _ISSUING or not case.issued:
            return
        body = symbols.fill(case.request)
        platform = 10 if case.path == "/auth/get_admin_token" else int(body.get("platformID", 0))
        key = (str(body["userID"]), platform)
        before = self._issued.get(key)
        if before is not None and before != case.issued:
            await self._clock.sleep(_BETWEEN_ISSUES_S)
        if before is None and sum(other.issued == case.issued for other in cases) > 1:
            await self._align()
        self._issued[key] = case.issued

    async def _align(self) -> None:
        """Wait for a young second: the next tokens are to be issued in the same one."""
        into_second = self._clock.now_s() % 1
        if into_second > _LATEST_IN_SECOND:
            await self._clock.sleep(1.05 - into_second)


async def _send(target: Target, case: Case, symbols: Symbols) -> tuple[int, Any]:
    headers = _headers(case, symbols)
    request = target.http.build_request(
        case.method, symbols.path(case.path), content=_body(case, symbols), headers=headers
    )
    response = await target.http.send(request, follow_redirects=False)
    return response.status_code, _decoded(response)


def _headers(case: Case, symbols: Symbols) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    for name, value in case.headers.items():
        if name == "token":
            token = {"<none>": None, "<empty>": "", "<garbage>": "not.a.token", "<garbage-nodots>": "garbage"}.get(
                value, symbols.fill(value)
            )
            if token is not None:
                headers["token"] = token
        elif name == "operationID":
            if value != "absent":
                headers["operationID"] = symbols.fill("replay" if value == "present" else value)
        elif value == "absent":
            headers.pop(name, None)
        else:
            headers[name] = symbols.fill(value)
    return headers


def _body(case: Case, symbols: Symbols) -> bytes:
    if case.request is None:
        return b""
    filled = symbols.fill(case.request)
    return filled.encode() if isinstance(filled, str) else json.dumps(filled).encode()


def _decoded(response: httpx.Response) -> Any:
    if not response.content:
        return ""
    try:
        return response.json()
    except ValueError:
        return response.text


async def replay_flow(server: Server | None, flow: str, cases: list[Case] | None = None) -> Replayed:
    """`replay`, against a live server, or for None a fresh double."""
    async with double(manual=True) if server is None else live(server) as target:
        return await replay(target, flow, cases)
