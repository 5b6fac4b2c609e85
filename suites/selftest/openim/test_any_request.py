"""No well-formed request makes a handler fail, whatever came before; and the state survives a restart unchanged."""

from __future__ import annotations

import contextlib
import json
import types
import typing
from dataclasses import fields, is_dataclass
from operator import itemgetter
from typing import Annotated, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.openim import routes
from fixtures.openim.api import Call, Route
from fixtures.openim.binding import bind
from fixtures.openim.errors import Fault, Panic
from fixtures.openim.records import User
from fixtures.openim.state import State
from fixtures.openim.tables import Table
from suites.selftest.openim.databases import Databases
from suites.selftest.openim.doubles import ADMIN, SECRET

PEOPLE = ("ann", "ben", "cyd")
# Mostly what exists, so that handlers get past their first check.
USERS = st.sampled_from([*PEOPLE, *PEOPLE, ADMIN, "nobody", ""])
GROUPS = st.sampled_from(["g", "g", "g", "h", ""])
CONVERSATIONS = st.sampled_from(["si_ann_ben", "sg_g", "sg_g", "n_ann_ben", "n_g", "si_x_y", ""])
NUMBERS = st.sampled_from([-1, 0, 1, 1, 2, 2, 3, 3, 4, 20, 60, 100, 101, 101, 110, 1400, 2**31 - 1])
CONTENT = st.sampled_from([{"content": "x"}, {}, {"data": "x", "atUserList": ["ann"]}])
ROUTES = sorted(routes.ROUTES.values(), key=lambda route: route.path)


def requests(hint: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a field's type and name, JSON as `bind` gets it after decoding."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = requests(next(one for one in typing.get_args(hint) if one is not type(None)), name)
        return st.none() | inner | inner
    if typing.get_origin(hint) is Annotated:
        return NUMBERS.filter(lambda number: number >= 0) if hint.__metadata__ == ("uint64",) else NUMBERS
    if typing.get_origin(hint) is list:
        return st.lists(requests(typing.get_args(hint)[0], name), max_size=3)
    if typing.get_origin(hint) is dict:
        return CONTENT if typing.get_args(hint)[1] is Any else st.just({"k": "v"})
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        given = {one.name.replace("_", ""): requests(hints[one.name], one.name) for one in fields(hint)}
        whole = st.fixed_dictionaries(given)
        return whole | whole | st.fixed_dictionaries({}, optional=given)
    if hint is bool:
        return st.booleans()
    return CONVERSATIONS if "conversation" in name else GROUPS if "group" in name else USERS


def steps() -> st.SearchStrategy[list[tuple[Route, Any, str]]]:
    """Some calls: a route, its request, who asks."""
    one = st.sampled_from(ROUTES).flatmap(
        lambda route: st.tuples(st.just(route), requests(route.request), st.sampled_from([ADMIN, ADMIN, *PEOPLE]))
    )
    return st.lists(one, min_size=1, max_size=40)


def tables(state: State) -> dict[str, Any]:
    """All that a state holds: users and groups in their order, the rest by first key, each key's records in theirs."""
    held = {name: value for name, value in vars(state).items() if isinstance(value, Table)}
    shown = {name: [(key, list(table.of(key).items())) for key in table.ids()] for name, table in held.items()}
    shown["tokens"] = [
        (key, sorted(rows, key=itemgetter(0))) for key, rows in shown["tokens"]
    ]  # which platform came first is not kept
    return {
        name: rows if name in ("users", "groups") else sorted(rows, key=itemgetter(0)) for name, rows in shown.items()
    }


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(calls=steps())
def test_handlers_answer_or_refuse_and_what_they_did_is_kept(
    databases: Databases, calls: list[tuple[Route, Any, str]]
) -> None:
    """Only refusals that the envelope knows leave a handler; a reopened database holds the same records."""
    with databases.fresh() as database:
        state = State(secret=SECRET, admin_ids=[ADMIN], store=database.store())
        for name in PEOPLE:
            state.users.put(User(name, name), name)
        seed = b'{"ownerUserID":"ann","memberUserIDs":["ben"],"groupInfo":{"groupID":"g","groupType":2}}'
        run(state, routes.ROUTES["/group/create_group"], seed, ADMIN)
        hello = b'{"sendID":"ann","recvID":"ben","contentType":101,"sessionType":1,"content":{"content":"x"}}'
        run(state, routes.ROUTES["/msg/send_msg"], hello, ADMIN)
        for route, request, caller in calls:
            run(state, route, json.dumps(request).encode(), caller)
        state.commit()
        before = tables(state)
        state.close()
        reopened = State(secret=SECRET, admin_ids=[ADMIN], store=database.store())
        assert tables(reopened) == before
        assert reopened.joined == {user_id: groups for user_id, groups in state.joined.items() if groups}
        reopened.close()


def run(state: State, route: Route, body: bytes, caller: str) -> None:
    """One call; refusals are fine."""
    with contextlib.suppress(Fault, Panic):
        route.handler(Call(state, caller, 1, "op", {}), bind(route.request, body))
