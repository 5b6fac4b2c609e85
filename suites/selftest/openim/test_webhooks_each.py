"""Each webhook: called once, at its URL, with the documented fields and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fixtures.clients.openim_calls import OpenIMError
from fixtures.openim.state import State
from fixtures.openim.webhooks.catalogue import NEVER_CALLED, SERVICES, command
from fixtures.webhook_sink import refuse
from suites.selftest.openim import hook_cases, hook_cases_groups
from suites.selftest.openim.hook_cases import ANSWER, READ, REGISTER, REVOKE, Case, asked, send, send_to_group
from suites.selftest.openim.hook_cases_groups import CONVERSATION, CREATE, MEMBER, SET
from suites.selftest.openim.hooked import ALL_HOOKS, hooked

pytestmark = pytest.mark.anyio

CASES = (*hook_cases.CASES, *hook_cases_groups.CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_called_once_with_the_documented_fields(state: State, case: Case) -> None:
    """One call, at the URL of its command, with the body's names, the values that matter, and the operationID."""
    async with hooked(state) as double:
        await case.before(double)
        double.switch_on(case.name)
        await case.act(double)
        (call,) = await double.sink.wait_for(command(case.name))
        await asyncio.sleep(0.05)
        assert double.sink.calls == [call]
        body = dict(call.body)
        assert body.pop("callbackCommand") == call.command
        assert set(body) == set(case.fields.split())
        assert {name: body[name] for name in case.values or {}} == (case.values or {})
        assert call.headers["operationid"] == (body.get("operationID") or "cause")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_single_chat_is_made_for_each_owner(state: State, when: str) -> None:
    """The webhooks around the conversation of a first message come once for each of the two owners."""
    name = f"{when}CreateSingleChatConversations"
    async with hooked(state) as double:
        double.switch_on(name)
        await send(double)
        calls = await double.sink.wait_for(command(name), 2)
        await send(double)
        await asyncio.sleep(0.05)
        assert len(double.sink.calls) == 2
        assert [(call.body["ownerUserId"], call.body["userId"]) for call in calls] == [("ann", "ben"), ("ben", "ann")]
        assert set(calls[0].body) == {"callbackCommand", "userId", *CONVERSATION.split()}
        assert calls[0].body["conversationId"] == "si_ann_ben"


_ASKED = [
    case for case in CASES if case.name.startswith("before") and SERVICES[case.name] not in ("push", "conversation")
]


@pytest.mark.parametrize("case", _ASKED, ids=lambda case: case.name)
async def test_a_refusal_is_the_answer(state: State, case: Case) -> None:
    """What a before-webhook refuses is not done, and the caller gets the webhook's code, name and detail."""
    async with hooked(state) as double:
        await case.before(double)
        double.switch_on(case.name)
        double.sink.answer(command(case.name), refuse(7001, "NotToday", "because"))
        before = _all_of(state)
        with pytest.raises(OpenIMError) as refused:
            await case.act(double)
        assert (refused.value.err_code, refused.value.err_msg, refused.value.err_dlt) == (7001, "NotToday", "because")
        assert _all_of(state) == before


def _all_of(state: State) -> list[list[Any]]:
    tables = (state.users, state.friends, state.friend_requests, state.blacks, state.groups, state.members)
    return [list(table.values()) for table in (*tables, state.group_requests, state.messages, state.conversations)]


def test_no_webhook_is_left_out() -> None:
    """Every webhook of the catalogue has its case here, but for the one that the server calls nowhere."""
    single = {"beforeCreateSingleChatConversations", "afterCreateSingleChatConversations"}
    assert {case.name for case in CASES} | single | NEVER_CALLED == set(ALL_HOOKS)


async def test_switched_off_means_no_call(state: State) -> None:
    """With all webhooks named and none enabled, nothing is called and no request waits."""
    async with hooked(state) as double:
        double.switch_on(*ALL_HOOKS, enable=False)
        for act in (REGISTER, asked, ANSWER, CREATE, send, send_to_group, READ, REVOKE, SET, MEMBER):
            await act(double)
        await asyncio.sleep(0.05)
        assert double.sink.calls == []
