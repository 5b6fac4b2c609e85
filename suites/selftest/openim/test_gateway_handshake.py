"""Who may connect, and how the others are told (recorded sessions 01 to 09)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fixtures.openim import tokens
from fixtures.openim.gateway.server import GatewaySettings
from fixtures.openim.state import State
from fixtures.wire.envelope import Request, codec
from suites.selftest.openim.doubles import SECRET, Clock
from suites.selftest.openim.sockets import BINARY, TEXT, UPGRADE, Ended, frame, served

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]

NEED = "args err, need token, sendID, platformID"
BAD_PARAMETERS: list[tuple[dict[str, str | None], int, str, str]] = [
    ({"sendID": None}, 1602, NEED, "sendID is empty"),
    ({"sendID": ""}, 1602, NEED, "sendID is empty"),
    ({"token": None}, 1602, NEED, "token is empty"),
    ({"operationID": ""}, 1602, NEED, "operationID is empty"),
    ({"platformID": None}, 1602, NEED, "platformID is not int"),
    ({"platformID": "web"}, 1602, NEED, "platformID is not int"),
    ({"platformID": "1_0"}, 1602, NEED, "platformID is not int"),
    ({"platformID": " 5"}, 1602, NEED, "platformID is not int"),
    ({"platformID": "٥"}, 1602, NEED, "platformID is not int"),
    ({"platformID": "9" * 5000}, 1602, NEED, "platformID is not int"),
    ({"platformID": "99"}, 1602, NEED, "platformID is invalid"),
    ({"sdkType": "rust"}, 1602, NEED, "sdkType is invalid"),
    ({"isMsgResp": "yes"}, 1602, NEED, "isMsgResp is not bool"),
    ({"isBackground": None}, 500, "ServerInternalError", "invalid syntax"),
    ({"isBackground": "yes"}, 500, "ServerInternalError", "invalid syntax"),
    ({"v": "!!"}, 1602, NEED, "data is not base64"),
    ({"v": "e30="}, 1602, NEED, "data is not base64"),
    ({"v": "e3/9"}, 1602, NEED, "data is not base64"),
    ({"v": "e"}, 1602, NEED, "data is not base64"),
    ({"v": "e30"}, 1602, NEED, "token is empty"),
]


@pytest.mark.parametrize(("changed", "code", "message", "detail"), BAD_PARAMETERS)
@pytest.mark.parametrize("response", [False, True])
async def test_bad_parameters_are_refused_in_plain_http(
    state: State, changed: dict[str, str | None], code: int, message: str, detail: str, response: bool
) -> None:
    """HTTP 200 with the reason, also where the caller asked for a first text frame (sessions 02 and 03)."""
    async with served(state) as door:
        asked = {**door.parameters("ann"), **({"isMsgResp": "true"} if response else {}), **changed}
        found, _ = await door.upgrade({name: one for name, one in asked.items() if one is not None})
    assert (found.status, found.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(found.body) == {"errCode": code, "errMsg": message, "errDlt": detail}


def bad_tokens(state: State, clock: Clock) -> dict[str, tuple[dict[str, str], int, str, str]]:
    """Tokens that do not let ann in on the web: the parameters that change, the answer."""
    now_s = int(clock())
    claims: dict[str, Any] = {"UserID": "ann", "PlatformID": 5, "exp": now_s + 99, "iat": now_s - 9}
    deep = base64.urlsafe_b64encode(b"[" * 6000).decode().rstrip("=")
    superseded = tokens.issue(state, "ann", 5)
    clock.now_s += 2
    tokens.issue(state, "ann", 5)
    return {
        "expired": ({"token": tokens.sign({**claims, "exp": now_s - 1}, SECRET)}, 1501, "TokenExpiredError", ""),
        "other user": ({"sendID": "ben"}, 1502, "TokenInvalidError", "token uid ann != userID ben"),
        "other platform": ({"platformID": "3"}, 1502, "TokenInvalidError", "token platform 5 != platformID 3"),
        "no JWT": ({"token": "abc"}, 1503, "TokenMalformedError", ""),
        "deep JSON": ({"token": f"{deep}.{deep}.x"}, 1503, "TokenMalformedError", ""),
        "too early": ({"token": tokens.sign({**claims, "nbf": now_s + 99}, SECRET)}, 1504, "TokenNotValidYetError", ""),
        "wrong secret": ({"token": tokens.sign(claims, "other")}, 1505, "signature is invalid", ""),
        "superseded": ({"token": superseded}, 1506, "TokenKickedError", ""),
        "never issued": ({"token": tokens.sign(claims, SECRET)}, 1507, "TokenNotExistError", ""),
    }


@pytest.mark.parametrize(
    "case",
    [
        "expired",
        "other user",
        "other platform",
        "no JWT",
        "deep JSON",
        "too early",
        "wrong secret",
        "superseded",
        "never issued",
    ],
)
async def test_bad_tokens_are_refused_as_the_caller_wants_to_hear_it(state: State, clock: Clock, case: str) -> None:
    """Plain HTTP 200, or an upgrade with one text frame and the end of TCP (sessions 04 to 07)."""
    changed, code, message, detail = bad_tokens(state, clock)[case]
    told = {"errCode": code, "errMsg": message, "errDlt": detail}
    async with served(state) as door:
        asked = door.parameters("ann") | changed
        plain, _ = await door.upgrade(asked)
        upgraded, socket = await door.upgrade(asked | {"isMsgResp": "1"})
        frames = await socket.end()
        assert not len(door.gateway.hub)
    assert (plain.status, json.loads(plain.body)) == (200, told)
    assert upgraded.status == 101
    assert [(opcode, json.loads(text)) for opcode, text in frames] == [(TEXT, told)]


async def test_success_is_silent_unless_asked_for(state: State) -> None:
    """With isMsgResp the first frame tells of success; without it nothing comes. Any path will do (session 01)."""
    async with served(state) as door:
        for path in ("/", "/msg_gateway", "/a/b//[", "//["):
            found, socket = await door.upgrade(door.parameters("ann", isMsgResp="true", other="x"), path=path)
            assert (found.status, await socket.read()) == (101, (TEXT, b'{"errCode":0,"errMsg":"","errDlt":""}'))
        socket = await door.connect("ann")
        assert await socket.settle() == []
        assert socket.texts == []


@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": "close"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": None},
    ],
)
async def test_bad_upgrade_headers_are_a_bad_request(state: State, changed: dict[str, str | None]) -> None:
    """Good parameters with headers that ask for no WebSocket: HTTP 400 (session 08)."""
    headers = {name: value for name, value in {**UPGRADE, **changed}.items() if value is not None}
    async with served(state) as door:
        found, _ = await door.upgrade(door.parameters("ann"), headers=headers)
    assert (found.status, found.body) == (400, b"Bad Request\n")


async def test_a_browsers_connection_header_is_as_good(state: State) -> None:
    """Browsers write "keep-alive, Upgrade"; names and values have any case."""
    headers = {**UPGRADE, "Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"}
    async with served(state) as door:
        found, _ = await door.upgrade(door.parameters("ann"), headers=headers)
    assert found.status == 101


@pytest.mark.parametrize("response", [False, True])
async def test_all_parameters_may_come_in_one(state: State, response: bool) -> None:
    """The parameter `v`: base64url of JSON, without padding (session 09)."""
    async with served(state) as door:
        given = {
            "token": door.token("ann", 5),
            "userID": "ann",
            "platformID": 5,
            "operationID": "op",
            "compression": "gzip",
            "sdkType": "js",
            "sendResponse": response,
            "background": False,
            "sdkVersion": "v",
        }
        text = base64.urlsafe_b64encode(json.dumps(given).encode()).decode().rstrip("=")
        found, socket = await door.upgrade({"v": text})
        assert found.status == 101
        socket.user_id, socket.gzipped = "ann", True
        assert (await socket.call(1001)).err_code == 1002
        assert len(socket.texts) == response


@pytest.mark.parametrize(
    ("parameter", "header", "gzipped"),
    [("gzip", None, True), (None, "gzip", True), ("none", "gzip", False), ("GZIP", None, False), (None, None, False)],
)
async def test_compression_is_asked_for_by_parameter_or_header(
    state: State, parameter: str | None, header: str | None, gzipped: bool
) -> None:
    """Only "gzip" turns it on; the header counts where the parameter is absent (session 01)."""
    async with served(state) as door:
        asked = door.parameters("ann") | ({"compression": parameter} if parameter else {})
        _, socket = await door.upgrade(asked, headers={**UPGRADE, **({"compression": header} if header else {})})
        socket.user_id, socket.gzipped = "ann", gzipped
        assert (await socket.call(1004)).err_code == 1001


async def test_go_clients_speak_gob_without_saying_so(state: State) -> None:
    """The default of sdkType is "go"."""
    async with served(state) as door:
        asked = door.parameters("ann")
        del asked["sdkType"]
        _, socket = await door.upgrade(asked)
        socket.user_id, socket.sdk = "ann", "go"
        assert (await socket.call(1004)).err_msg == "ArgsError"


async def test_too_many_connections_are_refused_before_anything_else(state: State) -> None:
    """1601 in plain HTTP, whatever the parameters; a place that became free is given again."""
    async with served(state, GatewaySettings(max_connections=1)) as door:
        first = await door.connect("ann")
        for query in (door.parameters("ben", isMsgResp="true"), {"x": "y"}):
            found, _ = await door.upgrade(query)
            assert (found.status, json.loads(found.body)["errCode"]) == (200, 1601)
        await first.bye()
        await door.gone()
        await door.connect("ben")


async def test_a_living_connection_outlives_its_token(state: State, clock: Clock) -> None:
    """A token is looked at when a connection begins, never again (session 17)."""
    async with served(state) as door:
        socket = await door.connect("ann")
        clock.now_s += 2
        tokens.issue(state, "ann", 5)
        clock.now_s += tokens.LIFETIME_S
        assert (await socket.call(1004)).err_code == 1001


async def test_requests_may_follow_the_upgrade_at_once(state: State) -> None:
    """A client need not wait for the answer to its upgrade (session 09)."""
    async with served(state) as door:
        asked = [Request(number, send_id="ann") for number in (1004, 2003)]
        after = b"".join(frame(BINARY, codec("js").encode_request(one)) for one in asked)
        found, socket = await door.upgrade(door.parameters("ann"), after=after)
        assert found.status == 101
        assert [opcode for opcode, _ in await socket.end()] == [2, 2]
        with pytest.raises(Ended):
            await socket.read()
