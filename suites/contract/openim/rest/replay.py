"""Sending the recorded REST cases again and comparing the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx

from fixtures.clients.raw_websocket import UPGRADE_HEADERS, upgrade_request
from suites.contract.openim.rest import recording
from suites.contract.openim.rest.alternatives import alternatives_of
from suites.contract.openim.rest.bindings import RestBindings
from suites.contract.openim.rest.comparison import differences
from suites.contract.openim.rest.recording import Case
from suites.contract.openim.server import Server
from suites.contract.openim.shared.target import Target, double, live
from suites.contract.openim.shared.token_timing import BETWEEN_ISSUES_S, wait_for_new_second
from suites.contract.openim.shared.traced_connection import TracedConnection

# The recording of this case waited until the grace time of an old administrator's token was over [F28].
_EXTRA_WAIT_S = {"admin-old-token-after-grace": 301.0}
_ISSUING = {"/auth/get_user_token", "/auth/get_admin_token"}
# The notes of some cases say which user was connected while they were recorded.
_ONLINE = re.compile(r"run with one WebSocket connection of (\S+) on platform (\d+)")
_SPECIAL_TOKENS = {"<none>": None, "<empty>": "", "<garbage>": "not.a.token", "<garbage-nodots>": "garbage"}


@dataclass(frozen=True)
class RestOutcome:
    """One replayed case: its differences from the recording, and the HTTP status and answer that came.

    Attributes:
        accepted: why the differences are accepted, "" if they are not: another recording has this answer.
    """

    case: Case
    differences: list[str]
    status: int = 0
    answer: Any = None
    accepted: str = ""


@dataclass(frozen=True)
class ReplayedFlow:
    """The outcomes of the cases of one flow, and the values of their symbols."""

    outcomes: list[RestOutcome]
    bindings: RestBindings


async def replay_flow(server: Server | None, flow: str, cases: list[Case] | None = None) -> ReplayedFlow:
    """Replay a flow to a live server, or for None to a new double."""
    async with double(manual=True) if server is None else live(server) as target:
        return await replay(target, flow, cases)


async def replay(target: Target, flow: str, cases: list[Case] | None = None) -> ReplayedFlow:
    """Replay a flow after the cases that it depends on."""
    cases = recording.load() if cases is None else cases
    bindings = RestBindings(secret=target.secret, admin=target.admin, now_s=target.clock.now_s())
    pace, online = _Pace(target), _OnlineUsers(target, bindings)
    outcomes = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(online.disconnect)
        for case in recording.closure(cases, flow):
            await online.before(case)
            await pace.before(case, bindings, cases)
            status, answer = await _send(target, case, bindings)
            target.clock.tick()
            bindings.learn(case.response, answer)
            if case.flow != flow:
                continue
            found = _differences(case, status, answer, bindings)
            others = alternatives_of(case) if found else ()
            why = next((why for why, one in others if not _differences(one, status, answer, bindings)), "")
            outcomes.append(RestOutcome(case, found, status, answer, why))
    return ReplayedFlow(outcomes, bindings)


def _differences(case: Case, status: int, answer: Any, bindings: RestBindings) -> list[str]:
    found = [] if status == case.status else [f"HTTP {status}, recorded {case.status}"]
    return found + differences(bindings.fill(case.response), answer, volatile=case.volatile, unordered=case.unordered)


@dataclass
class _OnlineUsers:
    """Keeps the WebSocket connections open that some cases were recorded with. Does nothing without a gateway."""

    target: Target
    bindings: RestBindings
    _open: dict[tuple[str, str], TracedConnection] = field(default_factory=dict)

    async def before(self, case: Case) -> None:
        """Connect the user that must be online for the case."""
        found = _ONLINE.search(case.note)
        gateway = self.target.gateway
        if found is None or gateway is None or found.groups() in self._open:
            return
        user, platform = str(self.bindings.fill(found[1])), found[2]
        token = self.bindings.fill(f"<user:{found[1]}>")
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
        head = upgrade_request({"Host": f"{gateway.host}:{gateway.port}", **UPGRADE_HEADERS}, query)
        connection = TracedConnection(clock=self.target.clock.now_s, changed=lambda: None, auto_pong=True)
        self._open[found[1], platform] = connection
        await connection.open(gateway.host, gateway.port, head, timeout_s=gateway.patience_s, tls=gateway.tls)

    async def _token(self, user: str, platform: int) -> str:
        headers = {"operationID": "online", "token": str(self.bindings.fill("<admin>"))}
        body = {"userID": user, "platformID": platform}
        answer = (await self.target.http.post("/auth/get_user_token", json=body, headers=headers)).json()
        return str((answer.get("data") or {}).get("token", ""))

    async def disconnect(self) -> None:
        """Close all connections."""
        for connection in self._open.values():
            await connection.drop()


class _Pace:
    """Waits before a case as long as the recording did."""

    def __init__(self, target: Target) -> None:
        self._clock = target.clock
        self._issued: dict[tuple[str, int], str] = {}

    async def before(self, case: Case, bindings: RestBindings, cases: Iterable[Case]) -> None:
        """Wait. Different tokens of a user and platform are issued in different seconds [F26]."""
        await self._clock.sleep(case.settle_ms / 1000 + _EXTRA_WAIT_S.get(case.case, 0.0))
        if case.path not in _ISSUING or not case.issued:
            return
        body = bindings.fill(case.request)
        platform = 10 if case.path == "/auth/get_admin_token" else int(body.get("platformID", 0))
        key = (str(body["userID"]), platform)
        before = self._issued.get(key)
        if before is not None and before != case.issued:
            await self._clock.sleep(BETWEEN_ISSUES_S)
        if before is None and sum(other.issued == case.issued for other in cases) > 1:
            await wait_for_new_second(self._clock)
        self._issued[key] = case.issued


async def _send(target: Target, case: Case, bindings: RestBindings) -> tuple[int, Any]:
    headers = _headers(case, bindings)
    request = target.http.build_request(
        case.method, bindings.path(case.path), content=_body(case, bindings), headers=headers
    )
    response = await target.http.send(request, follow_redirects=False)
    return response.status_code, _decoded(response)


def _headers(case: Case, bindings: RestBindings) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    for name, value in case.headers.items():
        if name == "token":
            token = _SPECIAL_TOKENS.get(value, bindings.fill_text(value))
            if token is not None:
                headers["token"] = token
        elif name == "operationID":
            if value != "absent":
                headers["operationID"] = bindings.fill_text("replay" if value == "present" else value)
        elif value == "absent":
            headers.pop(name, None)
        else:
            headers[name] = bindings.fill_text(value)
    return headers


def _body(case: Case, bindings: RestBindings) -> bytes:
    if case.request is None:
        return b""
    filled = bindings.fill(case.request)
    return filled.encode() if isinstance(filled, str) else json.dumps(filled).encode()


def _decoded(response: httpx.Response) -> Any:
    if not response.content:
        return ""
    try:
        return response.json()
    except ValueError:
        return response.text
