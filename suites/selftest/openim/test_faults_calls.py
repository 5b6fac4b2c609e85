"""Switches on connections and REST calls, the double's own routes, and how bad settings are refused."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from fixtures.openim import tokens
from fixtures.openim.app import create_app
from fixtures.openim.fault_settings import FaultSettings
from fixtures.openim.state import State
from suites.selftest.openim.doubles import ADMIN
from suites.selftest.openim.fault_worlds import CHAT, World, ids, world
from suites.selftest.openim.sockets import PING, text_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]


async def silent(w: World) -> bool:
    """Whether ann's connection says nothing more, TCP still being open."""
    w.ann.send(PING, b"x")
    await w.ben.settle()
    await asyncio.sleep(0.02)
    return not w.ann.reader.at_eof() and not w.ann.reader._buffer  # type: ignore[attr-defined]


@pytest.mark.parametrize("processed", [False, True])
async def test_half_open_connections_go_silent_with_their_next_request(state: State, processed: bool) -> None:
    """Whether that request still had its effect is the switch's choice; others are not touched."""
    async with world(state) as w:
        await w.switch(halfOpen={"processed": processed, "users": ["ann"]})
        assert (await w.ben.call(1004)).err_code == 1001
        w.ann.ask(1003, text_message("ann", "ben", text="1"))
        assert await silent(w)
        assert await w.stored() == ids(*["1"] * processed)
        w.ann.ask(1003, text_message("ann", "ben", text="2"))
        assert await silent(w)
        assert await w.stored() == ids(*["1"] * processed)
        assert [(one["fault"], one["userID"], one["platformID"]) for one in await w.log()] == [("halfOpen", "ann", 5)]
        assert len(w.door.gateway.hub) == 2


@pytest.mark.parametrize(
    ("body", "struck"), [({"userID": "ann"}, ["ann"]), ({}, ["ann", "ben"]), ({"userID": "x"}, [])]
)
async def test_connections_are_struck_at_once(state: State, body: dict[str, str], struck: list[str]) -> None:
    """`half_open` and `drop_connections`, a user's or everybody's; each is logged once."""
    async with world(state) as w:
        answer = await w.own("POST", "half_open", body)
        assert answer.json()["data"] == {"connections": len(struck)}
        again = await w.own("POST", "half_open", body)
        assert again.json()["data"] == {"connections": 0}
        assert [(one["fault"], one["userID"]) for one in await w.log()] == [("halfOpen", name) for name in struck]
    async with world(state) as w:
        await w.own("DELETE", "log")
        answer = await w.own("POST", "drop_connections", body)
        assert answer.json()["data"] == {"connections": len(struck)}
        assert [(one["fault"], one["userID"]) for one in await w.log()] == [("dropConnection", name) for name in struck]
        for name, socket in (("ann", w.ann), ("ben", w.ben)):
            if name in struck:
                assert await socket.end() == []
            else:
                assert (await socket.call(1004)).err_code == 1001


async def test_a_flushed_token_store_makes_good_tokens_unknown(state: State) -> None:
    """1507 from then on; what is connected stays (trap T4)."""
    async with world(state) as w:
        token = w.door.token("ann", 5)
        await w.own("POST", "flush_tokens")
        with pytest.raises(Exception, match="1507"):
            tokens.verify(state, token)
        assert (await w.ann.call(1004)).err_code == 1001
        assert [one["fault"] for one in await w.log()] == ["flushTokens"]


async def test_a_jump_leaves_a_hole_in_the_seqs(state: State) -> None:
    """The next message is so much higher, in a conversation that has some as in one that has none (trap T15)."""
    async with world(state) as w:
        await w.say("1")
        for name, top in ((CHAT, 11), ("si_ann_ann", 10)):
            answer = await w.own("POST", "seq_jump", {"conversationID": name, "by": 10})
            assert answer.json()["data"] == {"maxSeq": top}
        await w.say("2")
        await w.say("3", recvID="ann")
        assert [message.seq for _, message in await w.ann.settle()] == [1, 12, 11]
        assert [(one["fault"], one["conversationID"], one["by"]) for one in await w.log()] == [
            ("seqJump", CHAT, 10),
            ("seqJump", "si_ann_ann", 10),
        ]


SEND = {"sendID": "ann", "recvID": "ben", "contentType": 101, "sessionType": 1, "content": {"content": "x"}}


async def post(w: World, path: str, body: dict[str, Any]) -> httpx.Response:
    """An administrator's call, without the client's own judgement of the answer."""
    headers = {"operationID": "op", "token": w.door.token(ADMIN, 10)}
    return await w.http.post(f"http://double{path}", json=body, headers=headers)


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize(
    ("name", "settings", "status", "body"),
    [
        ("httpError", {}, 503, b""),
        ("httpError", {"status": 429}, 429, b""),
        ("httpWrongCode", {}, 200, {"errCode": 500, "errMsg": "ServerInternalError", "errDlt": ""}),
        ("httpWrongCode", {"errCode": 0}, 200, {"errCode": 0, "errMsg": "", "errDlt": ""}),
    ],
)
async def test_wrong_answers_tell_nothing_of_what_was_done(
    state: State, carried_out: bool, name: str, settings: dict[str, Any], status: int, body: Any
) -> None:
    """The call had its effect or not, as the switch says; the next one beyond the limit is right again."""
    async with world(state) as w:
        path = "/msg/send_msg"
        await w.switch(**{name: {"limit": 1, "carriedOut": carried_out, "paths": [path], "users": [ADMIN], **settings}})
        assert (await post(w, "/user/get_users", {"pagination": {"pageNumber": 1, "showNumber": 9}})).json()["data"]
        wrong = await post(w, path, SEND)
        assert (wrong.status_code, wrong.json() if body else wrong.content) == (status, body)
        assert len(await w.stored()) == carried_out
        right = await post(w, path, SEND)
        assert (right.status_code, right.json()["data"]["clientMsgID"] != "") == (200, True)
        assert len(await w.stored()) == carried_out + 1
        assert [(one["fault"], one["path"], one["userID"]) for one in await w.log()] == [(name, path, ADMIN)]


async def test_slow_calls_take_their_time(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait comes before the call has its effect; then it is answered as ever."""
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)

    async with world(state) as w:
        await w.switch(httpSlow={"delayMs": 1500, "paths": ["/msg/send_msg"], "limit": 2})
        monkeypatch.setattr("fixtures.openim.app.asyncio.sleep", sleep)
        for _ in range(3):
            assert (await post(w, "/msg/send_msg", SEND)).json()["errCode"] == 0
        monkeypatch.undo()
        assert slept == [1.5, 1.5]
        assert [one["fault"] for one in await w.log()] == ["httpSlow", "httpSlow"]


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"loose": {}}, "Known here: seed, lose, burst, storeTwice"),
        ({"lose": {"rates": 1}}, "lose.rates: Extra inputs are not permitted. Known here: rate, limit"),
        ({"lose": {"rate": 0}}, "lose.rate: Input should be greater than 0"),
        ({"lose": {"rate": 1.5}}, "lose.rate: Input should be less than or equal to 1"),
        ({"lose": {"limit": 0}}, "lose.limit"),
        ({"lose": True}, "lose: "),
        ({"burst": {"window": 1}}, "burst.window: Extra inputs are not permitted. Known here: limit, windowMs"),
        ({"httpError": {"status": 200}}, "httpError.status: "),
        ({"delayMs": -1}, "delayMs: "),
        ([], "the body: "),
    ],
)
async def test_bad_settings_are_refused_with_a_sentence_that_names_the_known_keys(
    state: State, sent: Any, sentence: str
) -> None:
    """HTTP 400, and the switches stay as they were."""
    async with world(state) as w:
        await w.switch(lose={"limit": 1})
        answer = await w.own("POST", "faults", sent)
        assert (answer.status_code, answer.json()["errCode"]) == (400, 1001)
        assert sentence in answer.json()["errDlt"]
        assert "Known here: " in answer.json()["errDlt"]
        assert state.faults.settings.lose is not None


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 100_000, b"null"])
@pytest.mark.parametrize("path", ["faults", "seq_jump", "half_open", "drop_connections"])
async def test_bodies_that_are_no_json_object_are_refused(state: State, raw: bytes, path: str) -> None:
    """Also where a body may be absent."""
    async with world(state) as w:
        assert (await w.own("POST", path, raw=raw)).status_code == 400


ROUTES = [
    ("GET", "faults"),
    ("POST", "faults"),
    ("GET", "log"),
    ("DELETE", "log"),
    ("POST", "flush_tokens"),
    ("POST", "seq_jump"),
    ("POST", "half_open"),
    ("POST", "drop_connections"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("faults", "host", "refused"),
    [(False, "127.0.0.1", 404), (True, "10.0.0.9", 403), (True, "127.0.0.1", 0), (True, "::1", 0)],
)
async def test_own_routes_are_for_this_machine_and_where_asked_for(
    state: State, method: str, path: str, faults: bool, host: str, refused: int
) -> None:
    """404 for whatever was not opened, 403 for callers from elsewhere, and nothing has an effect then."""
    token = tokens.issue(state, ADMIN, 10)
    transport = httpx.ASGITransport(create_app(state, faults=faults), client=(host, 1))
    async with httpx.AsyncClient(transport=transport) as http:
        headers = {"operationID": "op", "token": token}
        answer = await http.request(method, f"http://double/_double/{path}", headers=headers)
        if refused:
            assert answer.status_code == refused
            assert tokens.verify(state, token).user_id == ADMIN
            assert not state.faults.log
        else:
            assert answer.status_code == (400 if path == "seq_jump" else 200)
        assert (await http.get("http://double/_double/none")).status_code == (refused or 404)


def test_switches_travel_under_the_names_that_they_are_told_by() -> None:
    """What GET shows can be POSTed again."""
    settings = FaultSettings.model_validate({"lose": {"rate": 0.5, "users": ["a"]}, "httpSlow": {"delayMs": 3}})
    shown = settings.model_dump_json(by_alias=True, exclude_none=True)
    assert FaultSettings.model_validate_json(shown) == settings
