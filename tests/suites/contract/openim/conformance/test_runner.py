"""What holds the double to its OpenAPI description turns red for each of these differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from fixtures.openim import app, routes, tokens
from fixtures.openim.api import Call
from fixtures.openim.binding import BindError, bind
from fixtures.openim.errors import Fault
from fixtures.openim.state import State
from fixtures.services.openim_double import ADMIN, SECRET, running
from suites.contract.openim.conformance.checks import Broken
from suites.contract.openim.conformance.runner import Conformance, profile
from suites.contract.openim.conformance.sample_data import FORGED
from suites.contract.openim.document import openapi
from suites.contract.openim.server import Server

Handler = Callable[[Call, Any], Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A route of the double made to answer otherwise, and what is to be said about it."""

    path: str
    instead: Callable[[Handler], Handler]
    said: str


def answering(change: Callable[[dict[str, Any]], Any]) -> Callable[[Handler], Handler]:
    """Change what a handler gives."""
    return lambda handler: lambda call, req: change(handler(call, req))


def as_administrator(handler: Handler) -> Handler:
    """Ask as administrator, whoever asks: no check of rights is left."""
    return lambda call, req: handler(replace(call, user_id=call.state.admin_ids[0]), req)


def refusing(code: int, message: str) -> Callable[[Handler], Handler]:
    """Refuse everything with this errCode."""

    def refuse(_call: Call, _req: Any) -> Any:
        raise Fault(code, "odd", message=message)

    return lambda _handler: refuse


def failing(_handler: Handler) -> Handler:
    """Break."""
    return lambda _call, _req: 1 // 0


def each_user(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Change each user of an answer."""
    return lambda data: {**data, "usersInfo": [change(one) for one in data["usersInfo"] or ()]}


# The first difference is enough here; nobody waits for the smallest.
FIRST = settings(profile(), phases=[Phase.generate])
DIFFERENCES = {
    "wrong type": Difference(
        path="/user/get_users", instead=answering(lambda data: {**data, "total": "1"}), said="data.total: "
    ),
    "missing key": Difference(
        path="/user/get_users_info",
        instead=answering(each_user(lambda user: {key: user[key] for key in user if key != "faceURL"})),
        said='usersInfo.0: "faceURL" is a required property',
    ),
    "new key": Difference(
        path="/user/get_users_info",
        instead=answering(each_user(lambda user: {**user, "level": 0})),
        said="usersInfo.0: .*'level' was unexpected",
    ),
    "null for a record": Difference(
        path="/user/get_users_info", instead=answering(each_user(lambda _user: None)), said="usersInfo.0: null"
    ),
    "data where none is": Difference(
        path="/friend/remove_black", instead=answering(lambda _data: {}), said="'data' was unexpected"
    ),
    "no data where some is": Difference(
        path="/msg/get_server_time", instead=answering(lambda _data: None), said='"data" is a required property'
    ),
    "failing handler": Difference(path="/group/get_groups", instead=failing, said="500"),
    "unknown errCode": Difference(
        path="/group/get_groups", instead=refusing(9999, "OddError"), said="errCode: 9999 is not one of"
    ),
    "other errMsg": Difference(
        path="/conversation/get_conversation",
        instead=refusing(1004, "NotFound"),
        said='errMsg: "RecordNotFoundError" was expected',
    ),
    "no check for administrators": Difference(
        path="/user/account_check", instead=as_administrator, said="is for administrators, and answers a user"
    ),
    "no check of the owner": Difference(
        path="/friend/get_friend_list", instead=as_administrator, said="lets (owner|stranger) act for"
    ),
    "no check of membership": Difference(
        path="/group/get_group_member_user_id", instead=as_administrator, said="does not belong to the group"
    ),
    "tokens shown to users": Difference(
        path="/user/get_users_online_token_detail",
        instead=answering(lambda _data: []),
        said="shows tokens to a user",
    ),
}


@pytest.fixture
def conformance() -> Iterator[Conformance]:
    """What the contract suite asks with."""
    asker = Conformance(prefix="qdouble_")
    yield asker
    asker.close()


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_difference_is_found(name: str, conformance: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double that differs in this one way is told so in a sentence."""
    one = DIFFERENCES[name]
    route = routes.ROUTES[one.path]
    monkeypatch.setitem(routes.ROUTES, one.path, replace(route, handler=one.instead(route.handler)))
    with pytest.raises(BaseException, match=one.said):  # schemathesis raises a group of its failures
        conformance.hold(one.path, FIRST)


def test_a_converting_decoder_is_found(conformance: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double that takes what does not fit, as if it had not been sent, is told so."""

    def lenient(request: type[Any], body: bytes) -> Any:
        try:
            return bind(request, body)
        except BindError:
            return request()

    monkeypatch.setattr(app, "bind", lenient)
    with pytest.raises(Broken, match="takes a body that does not fit"):
        conformance.hold("/msg/get_server_time", FIRST)


def test_an_open_door_is_found(conformance: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double that asks for no token is told so."""
    verify = tokens.verify

    def trusting(state: State, token: str) -> Any:
        return tokens.Claims(state.admin_ids[0], 10, 0) if token == FORGED else verify(state, token)

    monkeypatch.setattr(tokens, "verify", trusting)
    with pytest.raises(Broken, match="answers without a valid token"):
        conformance.hold("/user/get_users", FIRST)


def test_live_servers_are_only_read(tmp_path: Path) -> None:
    """A live server meets the same rules by the routes that read; one that changes something is not asked of it."""
    with running(tmp_path / "double.log") as process:
        live = Conformance(Server(api=process.api_url, secret=SECRET, admin=ADMIN), prefix="qlive_")
        changing = [path for path, right in openapi.rights().items() if not right.reads]
        assert "/user/user_register" in changing
        for path in changing:
            with pytest.raises(ValueError, match="not for a live server"):
                live.hold(path, profile())
        assert live.hold("/conversation/get_all_conversations", profile())[0] > 0
        live.close()
