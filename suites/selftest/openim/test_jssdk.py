"""The lists of conversations that browser clients read: in JSON and in protobuf, always the caller's own."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.openim.app import create_app
from fixtures.openim.state import State
from fixtures.wire import openim_api_pb2 as pb
from suites.selftest.openim.doubles import Clock, in_process

pytestmark = pytest.mark.anyio

ACTIVE, SOME = "/jssdk/get_active_conversations", "/jssdk/get_conversations"
CHAT = "si_ann_ben"


@pytest.fixture
async def im(state: State, clock: Clock) -> AsyncIterator[OpenIMRest]:
    """Three users: ben has two texts from ann and one from cyd, the newest."""
    async with in_process(state) as client:
        await client.user_register([{"userID": name, "nickname": name} for name in ("ann", "ben", "cyd")])
        for sender, text in (("ann", "one"), ("ann", "two"), ("cyd", "three")):
            await client.send_msg(sender, {"content": text}, recv_id="ben")
            clock.now_s += 1
        yield client


async def post(state: State, token: str, path: str, body: bytes, content_type: str) -> dict[str, Any]:
    """One request as a client sends it, and its envelope."""
    transport = httpx.ASGITransport(create_app(state))
    headers = {"token": token, "operationID": "o", "Content-Type": content_type}
    async with httpx.AsyncClient(transport=transport, base_url="http://double") as http:
        answer: dict[str, Any] = (await http.post(path, content=body, headers=headers)).json()
    return answer


async def test_protobuf_says_what_json_says(im: OpenIMRest, state: State) -> None:
    """The same list in both formats; the envelope stays JSON, with the message in base64."""
    token = (await im.get_user_token("ben", 5)).token
    plain = await im.call(ACTIVE, {"ownerUserID": "ben", "count": 20}, token=token)
    body = pb.GetActiveConversationsReq(ownerUserID="ben", count=20).SerializeToString()
    for content_type in ("application/x-protobuf", "application/protobuf; charset=utf-8"):
        answer = await post(state, token, ACTIVE, body, content_type)
        assert list(answer) == ["errCode", "errMsg", "errDlt", "data"]
        shown = pb.ConversationMsgs.FromString(base64.b64decode(answer["data"], validate=True))
        assert shown.unreadCount == plain["unreadCount"] == 3
        assert [one.conversation.conversationID for one in shown.conversations] == ["si_ben_cyd", CHAT]
        for one, other in zip(shown.conversations, plain["conversations"], strict=True):
            assert one.lastMsg.content == base64.b64decode(other["lastMsg"]["content"])
            assert (one.maxSeq, one.user.nickname) == (other["maxSeq"], other["user"]["nickname"])
            assert one.conversation.latestMsgDestructTime == other["conversation"]["latestMsgDestructTime"]


async def test_nothing_to_show_is_an_empty_text(im: OpenIMRest, state: State) -> None:
    """A user without conversations gets `data: ""`, which is an empty message in base64."""
    await im.user_register([{"userID": "dot", "nickname": "dot"}])
    token = (await im.get_user_token("dot", 5)).token
    assert (await post(state, token, ACTIVE, b"", "application/x-protobuf"))["data"] == ""


async def test_other_content_types_and_broken_protobuf_are_refused(im: OpenIMRest, state: State) -> None:
    """1001 for what is neither JSON nor protobuf, 500 for what is no protobuf; no content type at all is JSON."""
    token = (await im.get_user_token("ben", 5)).token
    text = await post(state, token, ACTIVE, b"{}", "text/plain")
    assert (text["errCode"], text["errDlt"]) == (1001, "unsupported content type")
    assert (await post(state, token, ACTIVE, b"\xff\xff", "application/x-protobuf"))["errCode"] == 500
    assert (await post(state, token, ACTIVE, b"{}", ""))["errCode"] == 0


async def test_the_caller_is_answered_about_whoever_is_named(im: OpenIMRest) -> None:
    """A user who names another owner reads the own list."""
    token = (await im.get_user_token("cyd", 5)).token
    answer = await im.call(ACTIVE, {"ownerUserID": "ben", "count": 20}, token=token)
    assert [one["conversation"]["ownerUserID"] for one in answer["conversations"]] == ["cyd"]


async def test_unread_counts_what_was_asked_for(im: OpenIMRest) -> None:
    """Of some conversations those alone, of the active ones all, however few are shown; unread falls with a read mark."""
    token = (await im.get_user_token("ben", 5)).token
    some = await im.call(SOME, {"ownerUserID": "ben", "conversationIDs": [CHAT, "si_no_one"]}, token=token)
    assert (some["unreadCount"], len(some["conversations"])) == (2, 1)
    newest = await im.call(ACTIVE, {"ownerUserID": "ben", "count": 1}, token=token)
    assert (newest["unreadCount"], len(newest["conversations"])) == (3, 1)
    await im.mark_conversation_as_read("ben", CHAT, 2, token=token)
    assert (await im.call(ACTIVE, {"ownerUserID": "ben", "count": 20}, token=token))["unreadCount"] == 1


async def test_a_deleted_last_message_gives_way_to_the_one_before(im: OpenIMRest) -> None:
    """The newest message that was not deleted is shown; with all deleted a blank one is left."""
    token = (await im.get_user_token("ben", 5)).token

    async def last() -> dict[str, Any]:
        answer = await im.call(SOME, {"ownerUserID": "ben", "conversationIDs": [CHAT]}, token=token)
        message: dict[str, Any] = answer["conversations"][0]["lastMsg"]
        return message

    assert (await last())["seq"] == 2
    for seq, shown, status in ((2, 1, 0), (1, 2, 4)):
        await im.call("/msg/delete_msgs", {"userID": "ben", "conversationID": CHAT, "seqs": [seq]}, token=token)
        message = await last()
        assert (message["seq"], message["status"]) == (shown, status)


async def test_a_friend_is_shown_without_the_account(im: OpenIMRest) -> None:
    """The friendship alone, beside the user; its time is in milliseconds here."""
    await im.import_friends("ben", ["ann"])
    token = (await im.get_user_token("ben", 5)).token
    answer = await im.call(SOME, {"ownerUserID": "ben", "conversationIDs": [CHAT]}, token=token)
    friend = answer["conversations"][0]["friend"]
    assert (friend["friendUserID"], "friendUser" in friend, friend["createTime"] > 10**12) == ("ann", False, True)
