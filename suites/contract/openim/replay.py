"""Sending recorded cases again and comparing the answers."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from suites.contract.openim import recording
from suites.contract.openim.compare import differences
from suites.contract.openim.recording import Case, Symbols
from suites.contract.openim.target import Target

DEVIATIONS = Path(__file__).parent / "deviations.toml"

# Two tokens issued within one second are the same text, so different ones are asked for in different seconds.
_BETWEEN_ISSUES_S = 1.1
_LATEST_IN_SECOND = 0.3
# The recording says this in a note.
_EXTRA_WAIT_S = {"admin-old-token-after-grace": 301.0}
_ISSUING = {"/auth/get_user_token", "/auth/get_admin_token"}


@dataclass(frozen=True)
class Outcome:
    """One case as it went: no differences means that the answer is the recorded one."""

    case: Case
    differences: list[str]


def deviations() -> dict[str, str]:
    """Case -> reason of the deviations that the double has on purpose or for now."""
    return {entry["case"]: entry["reason"] for entry in tomllib.loads(DEVIATIONS.read_text())["deviation"]}


async def replay(target: Target, flow: str, cases: list[Case] | None = None) -> list[Outcome]:
    """Replay a flow, after the cases that it depends on, and return the outcomes of its own cases."""
    cases = recording.load() if cases is None else cases
    symbols = Symbols(secret=target.secret, admin=target.admin, now_s=target.clock.now_s())
    pace = _Pace(target)
    outcomes = []
    async with target.http:
        for case in recording.closure(cases, flow):
            await pace.before(case, symbols, cases)
            status, answer = await _send(target, case, symbols)
            target.clock.tick()
            symbols.bind(case.response, answer)
            if case.flow != flow:
                continue
            found = [] if status == case.status else [f"HTTP {status}, recorded {case.status}"]
            found += differences(symbols.fill(case.response), answer, volatile=case.volatile, unordered=case.unordered)
            outcomes.append(Outcome(case, found))
    return outcomes


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


def run(target: Target, flow: str) -> list[Outcome]:
    """`replay` for who is not asynchronous."""
    return asyncio.run(replay(target, flow))
