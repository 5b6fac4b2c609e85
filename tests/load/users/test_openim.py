"""OpenIM's REST envelope."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from fixtures.clients.openim_calls import OpenIMError
from load.users.openim import OpenIMApi, envelope_of


def test_an_answer_without_an_envelope_is_not_a_success() -> None:
    """A proxy's HTML page with status 200 acknowledges nothing."""
    for content in (b"<html>", b"", b"[]", b'{"errCode": null}'):
        assert envelope_of(200, content)[0] == -1
    assert envelope_of(200, b'{"errCode":0,"data":{"serverMsgID":"x"}}') == (0, "", {"serverMsgID": "x"})


Answer = tuple[int, dict[str, object]] | httpx.TransportError
DUPLICATE = (200, {"errCode": 500, "errMsg": "ServerInternalError", "errDlt": "E11000 duplicate key error"})
EXISTS = (200, {"errCode": 1102, "errMsg": "UserIDExists"})
REFUSED = (200, {"errCode": 1001, "errMsg": "ArgsError"})


def _api(registered: set[str], answers: Callable[[list[str]], Answer]) -> OpenIMApi:
    """An OpenIM that registers as `answers` does, and knows `registered`."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if request.url.path == "/auth/get_admin_token":
            return httpx.Response(200, json={"errCode": 0, "data": {"token": "t"}})
        if request.url.path == "/user/account_check":
            rows = [{"userID": one, "accountStatus": int(one in registered)} for one in body["checkUserIDs"]]
            return httpx.Response(200, json={"errCode": 0, "data": {"results": rows}})
        found = answers([user["userID"] for user in body["users"]])
        if isinstance(found, httpx.TransportError):
            raise found
        return httpx.Response(found[0], json=found[1])

    return OpenIMApi("http://im", secret="s", admin_user_id="a", transport=httpx.MockTransport(answer))  # noqa: S106


@pytest.mark.parametrize("said", [DUPLICATE, EXISTS, httpx.ReadTimeout("slow"), (502, {})])
@pytest.mark.parametrize("effect", ["nobody", "everybody", "one"])
def test_registering_is_idempotent_whatever_the_server_answers(said: Answer, effect: str) -> None:
    """Another caller registered some of them at the same moment, or the call had its effect and says that it had not."""
    registered: set[str] = set()

    def register(users: list[str]) -> Answer:
        if len(users) > 1:
            registered.update({"nobody": [], "everybody": users, "one": users[:1]}[effect])
            return said
        if users[0] in registered:
            return DUPLICATE
        registered.update(users)
        return 200, {"errCode": 0, "data": {}}

    _api(registered, register).ensure_registered(["u1", "u2", "u3"])
    assert registered == {"u1", "u2", "u3"}


def test_a_user_that_cannot_be_registered_is_an_error() -> None:
    """The server's refusal is raised."""
    with pytest.raises(OpenIMError, match="1001"):
        _api(set(), lambda users: REFUSED).ensure_registered(["u1", "u2"])
