"""The conformance check reports each of these differences from the OpenAPI description."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from fixtures.openim.binding import BindError, bind
from fixtures.openim.errors import Fault
from fixtures.openim.model import tokens
from fixtures.openim.model.state import ServerState
from fixtures.openim.rest import app, routes
from fixtures.openim.rest.api import Call
from fixtures.services.openim_double import ADMIN, SECRET, running_double
from suites.contract.openim.conformance.checks import ContractViolation
from suites.contract.openim.conformance.runner import Conformance, example_settings
from suites.contract.openim.conformance.sample_data import FORGED
from suites.contract.openim.document import openapi
from suites.contract.openim.server import Server

pytestmark = pytest.mark.long

Handler = Callable[[Call, Any], Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A changed route of the double, and a pattern of the expected message."""

    path: str
    instead: Callable[[Handler], Handler]
    message: str


def answering(change: Callable[[dict[str, Any]], Any]) -> Callable[[Handler], Handler]:
    """Change the answer of a handler."""
    return lambda handler: lambda call, req: change(handler(call, req))


def as_administrator(handler: Handler) -> Handler:
    """Handle every request as one of an administrator, so that no rights are checked."""
    return lambda call, req: handler(replace(call, user_id=call.state.admin_ids[0]), req)


def refusing(code: int, message: str) -> Callable[[Handler], Handler]:
    """Refuse every request with this errCode."""

    def refuse(_call: Call, _req: Any) -> Any:
        raise Fault(code, "odd", message=message)

    return lambda _handler: refuse


def failing(_handler: Handler) -> Handler:
    """Raise an exception in the handler."""
    return lambda _call, _req: 1 // 0


def each_user(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Change each user in an answer."""
    return lambda data: {**data, "usersInfo": [change(one) for one in data["usersInfo"] or ()]}


# The first difference is enough; it is not reduced to the smallest request.
FIRST = settings(example_settings(), phases=[Phase.generate])
DIFFERENCES = {
    "wrong type": Difference(
        path="/user/get_users", instead=answering(lambda data: {**data, "total": "1"}), message="data.total: "
    ),
    "missing key": Difference(
        path="/user/get_users_info",
        instead=answering(each_user(lambda user: {key: user[key] for key in user if key != "faceURL"})),
        message='usersInfo.0: "faceURL" is a required property',
    ),
    "new key": Difference(
        path="/user/get_users_info",
        instead=answering(each_user(lambda user: {**user, "level": 0})),
        message="usersInfo.0: .*'level' was unexpected",
    ),
    "null for a record": Difference(
        path="/user/get_users_info", instead=answering(each_user(lambda _user: None)), message="usersInfo.0: null"
    ),
    "data where none is": Difference(
        path="/friend/remove_black", instead=answering(lambda _data: {}), message="'data' was unexpected"
    ),
    "no data where some is": Difference(
        path="/msg/get_server_time", instead=answering(lambda _data: None), message='"data" is a required property'
    ),
    "failing handler": Difference(path="/group/get_groups", instead=failing, message="500"),
    "unknown errCode": Difference(
        path="/group/get_groups", instead=refusing(9999, "OddError"), message="errCode: 9999 is not one of"
    ),
    "other errMsg": Difference(
        path="/conversation/get_conversation",
        instead=refusing(1004, "NotFound"),
        message='errMsg: "RecordNotFoundError" was expected',
    ),
    "no check for administrators": Difference(
        path="/user/account_check",
        instead=as_administrator,
        message="is for administrators, and accepts a request of a user",
    ),
    "no check of the owner": Difference(
        path="/friend/get_friend_list", instead=as_administrator, message="lets (owner|stranger) act for"
    ),
    "no check of membership": Difference(
        path="/group/get_group_member_user_id", instead=as_administrator, message="is not in the group"
    ),
    "tokens shown to users": Difference(
        path="/user/get_users_online_token_detail",
        instead=answering(lambda _data: []),
        message="shows tokens to a user",
    ),
}


@pytest.fixture
def conformance() -> Iterator[Conformance]:
    """The conformance check of the contract suite, with the double."""
    checker = Conformance(prefix="qdouble_")
    yield checker
    checker.close()


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_difference_is_reported(name: str, conformance: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double that differs in one way fails with a message about it."""
    one = DIFFERENCES[name]
    route = routes.ROUTES[one.path]
    monkeypatch.setitem(routes.ROUTES, one.path, replace(route, handler=one.instead(route.handler)))
    with pytest.raises(BaseException, match=one.message):  # schemathesis raises a group of its failures
        conformance.check_route(one.path, FIRST)


def test_a_lenient_decoder_is_reported(conformance: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double that ignores a body that does not fit fails."""

    def lenient(request: type[Any], body: bytes) -> Any:
        try:
            return bind(request, body)
        except BindError:
            return request()

    monkeypatch.setattr(app, "bind", lenient)
    with pytest.raises(ContractViolation, match="accepts a body that does not fit"):
        conformance.check_route("/msg/get_server_time", FIRST)


def test_a_missing_check_of_tokens_is_reported(conformance: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double that accepts a forged token fails."""
    verify = tokens.verify

    def trusting(state: ServerState, token: str) -> Any:
        return tokens.Claims(state.admin_ids[0], 10, 0) if token == FORGED else verify(state, token)

    monkeypatch.setattr(tokens, "verify", trusting)
    with pytest.raises(ContractViolation, match="accepts a request without a valid token"):
        # Random requests may all be of other callers, so there are enough of them.
        conformance.check_route("/user/get_users", settings(FIRST, max_examples=400))


def test_live_servers_are_only_read(tmp_path: Path) -> None:
    """On a live server only routes that read are checked; others are refused before a request is sent."""
    with running_double(tmp_path / "double.log") as process:
        live = Conformance(Server(api=process.api_url, secret=SECRET, admin=ADMIN), prefix="qlive_")
        changing = [path for path, right in openapi.rights().items() if not right.reads]
        assert "/user/user_register" in changing
        for path in changing:
            with pytest.raises(ValueError, match="not called on a live server"):
                live.check_route(path, example_settings())
        assert live.check_route("/conversation/get_all_conversations", example_settings())[0] > 0
        live.close()
