"""The typed client: what it returns, what it raises, what it never does."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from fixtures.clients.openim_calls import ADMIN_TOKEN_MAX_AGE_S
from fixtures.clients.openim_rest import OpenIMError, OpenIMRest
from fixtures.openim.state import State
from suites.selftest.openim.doubles import ADMIN, SECRET, in_process

pytestmark = pytest.mark.anyio


async def test_a_world_is_written_and_read_back(state: State) -> None:
    """Users, friends, a group and messages through the typed calls."""
    async with in_process(state) as im:
        await im.user_register([{"userID": name, "nickname": name} for name in ("ann", "ben", "cyd")])
        assert await im.account_check(["ann", "dan"]) == {"ann": True, "dan": False}
        await im.update_user_info("ann", nickname="Ann", ex="")
        assert (await im.get_users_info(["ann", "dan"]))["ann"]["nickname"] == "Ann"
        await im.import_friends("ann", ["ben"])
        await im.delete_friend("ben", "ann")
        assert (await im.get_friend_ids("ann"), await im.get_friend_ids("ben")) == (["ben"], [])
        group = await im.create_group("ann", name="G", member_user_ids=["ben"], group_id="g1", ex="x")
        assert group["memberCount"] == 3  # one too high: the administrator is counted
        assert (await im.get_groups_info(["g1"]))["g1"]["memberCount"] == 2
        await im.invite_user_to_group("g1", ["cyd"])
        await im.quit_group("g1", "cyd")
        await im.send_msg("ben", {"content": "hi"}, group_id="g1", operation_id="op")
        hits, total = await im.search_msg(recv_id="g1", content_type=101)
        assert (total, json.loads(hits[0]["chatLog"]["content"])) == (1, {"content": "hi"})
        seq = hits[0]["chatLog"]["seq"]
        await im.revoke_msg("ann", "sg_g1", seq)
        (pulled,) = await im.pull_msg_by_seq("ben", "sg_g1", begin=seq, end=seq)
        assert pulled["contentType"] == 2101
        await im.set_conversations(["ben"], {"conversationID": "sg_g1", "conversationType": 3, "isPinned": True})
        rows, count = await im.get_owner_conversation("ben")
        assert (count, rows[0]["isPinned"]) == (1, True)
        assert await im.get_full_conversation_ids("ben") == ["sg_g1"]
        await im.dismiss_group("g1", delete_member=True)
        assert await im.get_group_member_user_ids("g1") == []


async def test_partial_failures_of_a_batch_are_told(state: State) -> None:
    """errCode is 0 although one receiver is unknown."""
    async with in_process(state) as im:
        await im.user_register([{"userID": name, "nickname": name} for name in ("ann", "ben")])
        sent = await im.batch_send_msg("ann", ["ben", "dan"], {"content": "hi"})
    assert [row["recvID"] for row in sent["results"]] == ["ben"]
    assert sent["failedUserIDs"] == ["dan"]


async def test_a_refusal_carries_code_name_detail_and_route(state: State) -> None:
    """HTTP is 200 and still an error is raised."""
    async with in_process(state) as im:
        with pytest.raises(OpenIMError) as caught:
            await im.get_user_token("nobody", 1)
    error = caught.value
    assert (error.err_code, error.err_msg) == (1004, "RecordNotFoundError")
    assert "/auth/get_user_token" in str(error)
    assert "record not found" in str(error)


async def test_a_user_token_is_used_where_given(state: State) -> None:
    """What an administrator may, a user may not."""
    async with in_process(state) as im:
        await im.user_register([{"userID": name, "nickname": name} for name in ("ann", "ben")])
        token = (await im.get_user_token("ann", 1)).token
        with pytest.raises(OpenIMError, match="1002"):
            await im.newest_seq("ben", token=token)
        assert await im.newest_seq("ann", token=token) == {}
        await im.force_logout("ann", 1)
        with pytest.raises(OpenIMError, match="1506"):
            await im.parse_token(token)


async def test_a_message_has_exactly_one_target(state: State) -> None:
    """Neither none nor both."""
    async with in_process(state) as im:
        for target in ({}, {"recv_id": "a", "group_id": "b"}):
            with pytest.raises(ValueError, match="exactly one"):
                await im.send_msg("ann", {"content": "hi"}, **target)  # type: ignore[arg-type]


class Scripted(httpx.AsyncBaseTransport):
    """A server that answers from a list and notes what it was asked."""

    def __init__(self, *answers: dict[str, Any] | bytes) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note the request, give the next answer."""
        self.asked.append(request)
        answer = self.answers.pop(0)
        return httpx.Response(200, content=answer if isinstance(answer, bytes) else json.dumps(answer).encode())


TOKEN = {"errCode": 0, "errMsg": "", "errDlt": "", "data": {"token": "t1", "expireTimeSeconds": 7776000}}
LOST = {"errCode": 1507, "errMsg": "TokenNotExistError", "errDlt": ""}
DONE: dict[str, Any] = {"errCode": 0, "errMsg": "", "errDlt": ""}


def scripted(*answers: dict[str, Any] | bytes) -> tuple[OpenIMRest, Scripted]:
    """A client and the server that it talks to."""
    server = Scripted(*answers)
    return OpenIMRest("http://im", secret=SECRET, admin_user_id=ADMIN, transport=server), server


async def test_the_admin_token_is_asked_for_once() -> None:
    """Each request for one would take 300 s of life from everybody else's."""
    im, server = scripted(TOKEN, DONE, DONE)
    async with im:
        await im.force_logout("a", 1)
        await im.force_logout("b", 1)
    paths = [request.url.path for request in server.asked]
    assert paths == ["/auth/get_admin_token", "/auth/force_logout", "/auth/force_logout"]
    assert len({request.headers["operationID"] for request in server.asked}) == 3
    assert ADMIN_TOKEN_MAX_AGE_S < 240


async def test_a_lost_admin_token_fails_the_call_and_is_renewed_for_the_next() -> None:
    """Nothing is sent twice by itself: a send that failed is the caller's to repeat."""
    im, server = scripted(TOKEN, LOST, TOKEN, DONE)
    async with im:
        with pytest.raises(OpenIMError, match="1507"):
            await im.call("/msg/send_msg", {})
        await im.call("/msg/send_msg", {})
    assert [request.url.path for request in server.asked].count("/msg/send_msg") == 2


async def test_an_answer_without_envelope_names_the_likely_cause() -> None:
    """A proxy's page or a wrong port is told apart from OpenIM's refusals."""
    im, _ = scripted(b"<html>")
    async with im:
        with pytest.raises(OpenIMError, match="does the URL point at its REST API"):
            await im.force_logout("a", 1)
