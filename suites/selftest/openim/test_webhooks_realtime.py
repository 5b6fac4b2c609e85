"""Webhooks around the gateway: sends of a connection in order, pushes, presence."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from fixtures.openim.state import State
from fixtures.webhook_sink import Answer, go_on, refuse
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.identifiers import ReqIdentifier
from suites.selftest.openim.hooked import Socket, connect, gateway, hooked

pytestmark = pytest.mark.anyio

_BEFORE, _MODIFY = "callbackBeforeSendSingleMsgCommand", "callbackBeforeMsgModifyCommand"
_ONLINE, _OFFLINE = "callbackBeforeOnlinePushCommand", "callbackBeforeOfflinePushCommand"


def _ask_newest(socket: Socket, incr: str) -> None:
    socket.ask(ReqIdentifier.GET_NEWEST_SEQ, pb.GetMaxSeqReq(userID=socket.user_id).SerializeToString(), incr=incr)


async def test_a_connection_waits_for_its_send_and_no_other_does(state: State) -> None:
    """What a connection asks after a send is answered after it, in order; another user's connection is not held up."""
    async with hooked(state) as double, gateway(double) as url:
        ann, ben = await connect(double, url, "ann"), await connect(double, url, "ben")
        double.switch_on("beforeSendSingleMsg")
        double.sink.answer(_BEFORE, Answer(delay_s=1.5), go_on())
        began = time.monotonic()
        ann.say("ben", "one", incr="1")
        ann.say("ben", "two", incr="2")
        _ask_newest(ann, "3")
        await double.sink.wait_for(_BEFORE)
        _ask_newest(ben, "1")
        await ben.answer_to("1")
        assert time.monotonic() - began < 1.2
        await ann.answer_to("3")
        assert time.monotonic() - began >= 1.5
        asked = [answer.msg_incr for answer in ann.answers if answer.msg_incr]
        assert asked == ["1", "2", "3"]
        newest = pb.GetMaxSeqResp.FromString((await ann.answer_to("3")).data or b"")
        assert newest.maxSeqs["si_ann_ben"] == 2
        assert [json.loads(one.content)["content"] for one in await ben.wait_pushed(2)] == ["one", "two"]


async def test_a_refused_send_tells_code_and_name_alone(state: State) -> None:
    """The gateway leaves out the detail that REST shows; nothing is stored, and the connection lives on."""
    async with hooked(state) as double, gateway(double) as url:
        ann = await connect(double, url, "ann")
        double.switch_on("beforeSendSingleMsg", timeout=0.2)
        double.sink.answer(_BEFORE, refuse(7001, "NotToday", "because"), Answer(delay_s=60), go_on())
        for incr in ("1", "2", "3"):
            ann.say("ben", "hi", incr=incr)
        refused, late, sent = [await ann.answer_to(incr) for incr in ("1", "2", "3")]
        assert (refused.err_code, refused.err_msg, refused.data) == (7001, "NotToday", None)
        assert (late.err_code, late.err_msg) == (90004, "NetworkError")
        assert sent.err_code == 0
        assert len(state.messages.of("si_ann_ben")) == 1


async def test_a_rewritten_message_comes_back_with_the_ack(state: State) -> None:
    """`modify` of the ack holds the message as it was taken, and so does the push; one left alone has none."""
    async with hooked(state) as double, gateway(double) as url:
        ann, ben = await connect(double, url, "ann"), await connect(double, url, "ben")
        double.switch_on("beforeMsgModify")
        double.sink.answer(_MODIFY, go_on(content='{"content":"***"}'), go_on())
        ann.say("ben", "secret", incr="1")
        ann.say("ben", "plain", incr="2")
        acks = [pb.UserSendMsgResp.FromString((await ann.answer_to(incr)).data or b"") for incr in ("1", "2")]
        assert acks[0].modify.content == b'{"content":"***"}'
        assert not acks[1].HasField("modify")
        assert [one.content for one in await ben.wait_pushed(2)] == [b'{"content":"***"}', b'{"content":"plain"}']


async def test_a_send_outlives_its_connection(state: State) -> None:
    """A connection that ends while its send waits for a webhook does not take the message with it."""
    async with hooked(state) as double, gateway(double) as url:
        ann = await connect(double, url, "ann")
        double.switch_on("beforeSendSingleMsg")
        double.sink.answer(_BEFORE, Answer(delay_s=0.3))
        ann.say("ben", "hi", incr="1")
        await double.sink.wait_for(_BEFORE)
        ann.close()
        await double.state.hooks.drained()
        assert len(state.messages.of("si_ann_ben")) == 1


async def test_without_send_webhooks_a_send_is_one_step(state: State) -> None:
    """With none of the webhooks before a send switched on, nothing is left to be awaited."""
    async with hooked(state) as double, gateway(double) as url:
        ann = await connect(double, url, "ann")
        double.switch_on("afterSendSingleMsg", "afterMsgSaveDB", "afterUserOnline")
        ann.say("ben", "hi", incr="1")
        await ann.answer_to("1")
        assert not state.hooks.sending
        assert not state.hooks.pushing
        (call,) = await double.sink.wait_for("callbackAfterMsgSaveDBCommand")
        assert call.body["operationID"] == call.headers["operationid"] == "op-1"


async def test_a_refused_push_is_a_message_without_a_push(state: State) -> None:
    """Stored, acknowledged, never pushed; the next one is."""
    async with hooked(state) as double, gateway(double) as url:
        ben = await connect(double, url, "ben")
        double.switch_on("beforeOnlinePush")
        double.sink.answer(_ONLINE, refuse(7001), go_on())
        await double.im.send_msg("ann", {"content": "one"}, recv_id="ben")
        await double.im.send_msg("ann", {"content": "two"}, recv_id="ben")
        pushed = await ben.wait_pushed()
        await double.state.hooks.drained()
        assert [one.seq for one in pushed] == [2]
        assert len(state.messages.of("si_ann_ben")) == 2


async def test_pushes_wait_in_order_within_a_conversation_alone(state: State) -> None:
    """A push that waits holds up those behind it in its conversation, not those of another, and no request."""
    async with hooked(state) as double, gateway(double) as url:
        ben = await connect(double, url, "ben")
        double.switch_on("beforeOnlinePush")
        double.sink.answer(_ONLINE, Answer(delay_s=1.5), go_on())
        began = time.monotonic()
        await double.im.send_msg("ann", {"content": "one"}, recv_id="ben")
        await double.sink.wait_for(_ONLINE)
        await double.im.send_msg("ann", {"content": "two"}, recv_id="ben")
        await double.im.send_msg("cyd", {"content": "other"}, recv_id="ben")
        assert [one.sendID for one in await ben.wait_pushed()] == ["cyd"]
        assert time.monotonic() - began < 1.2
        assert [(one.sendID, one.seq) for one in (await ben.wait_pushed(3))[1:]] == [("ann", 1), ("ann", 2)]


async def test_a_group_push_goes_to_whom_the_reply_names(state: State) -> None:
    """The reply's users replace the members."""
    async with hooked(state) as double, gateway(double) as url:
        ben, cyd = await connect(double, url, "ben"), await connect(double, url, "cyd")
        await double.im.create_group("ann", name="G", group_id="g", member_user_ids=["ben", "cyd"])
        await ben.wait_pushed()
        await cyd.wait_pushed()
        double.switch_on("beforeGroupOnlinePush")
        double.sink.answer("callbackBeforeGroupOnlinePushCommand", go_on(userIDList=["cyd"]))
        await double.im.send_msg("ann", {"content": "hi"}, group_id="g")
        await cyd.wait_pushed(2)
        await double.state.hooks.drained()
        assert len(ben.pushed()) == 1


async def test_who_is_not_reached_on_a_phone_is_pushed_to_offline(state: State) -> None:
    """Told for who has no connection on a phone, unless the message or the receiver wants no such push."""
    async with hooked(state) as double, gateway(double) as url:
        await double.im.create_group("ann", name="G", group_id="g", member_user_ids=["ben", "cyd"])
        await connect(double, url, "ben", platform_id=1)
        await connect(double, url, "cyd", platform_id=5)
        double.switch_on("beforeOfflinePush")
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="cyd")
        await double.im.send_msg("ann", {"content": "hi"}, group_id="g")
        await double.im.call(
            "/msg/send_msg",
            {
                "sendID": "ann",
                "recvID": "cyd",
                "content": {"content": "quiet"},
                "contentType": 101,
                "sessionType": 1,
                "notOfflinePush": True,
            },
        )
        await double.state.hooks.drained()
        told = [(call.body["userIDList"], call.body["groupID"]) for call in double.sink.of(_OFFLINE)]
        assert sorted(told) == [(["cyd"], ""), (["cyd"], "g")]


async def test_typing_is_pushed_without_asking(state: State) -> None:
    """Typing goes out at once and no webhook hears of it."""
    async with hooked(state) as double, gateway(double) as url:
        ann, ben = await connect(double, url, "ann"), await connect(double, url, "ben")
        double.switch_on("beforeSendSingleMsg", "beforeMsgModify", "beforeOnlinePush", "beforeOfflinePush")
        typing = pb.MsgData(sendID="ann", recvID="ben", sessionType=1, contentType=113, content=b"{}")
        ann.ask(ReqIdentifier.SEND_MSG, typing.SerializeToString(), incr="1")
        await ben.wait_pushed()
        assert double.sink.calls == []


async def test_presence_is_told_by_platform(state: State) -> None:
    """Online with the first connection on a platform, offline with the last; a second one in between says nothing."""
    async with hooked(state) as double, gateway(double) as url:
        double.switch_on("afterUserOnline", "afterUserOffline")
        token = await double.token("ann")
        first = await connect(double, url, "ann", token=token)
        second = await connect(double, url, "ann", token=token)
        web = await connect(double, url, "ann", platform_id=5)
        await double.sink.wait_for("callbackAfterUserOnlineCommand", 2)
        first.close()
        await asyncio.sleep(0.05)
        second.close()
        (gone,) = await double.sink.wait_for("callbackAfterUserOfflineCommand")
        came = {call.body["platform"] for call in double.sink.of("callbackAfterUserOnlineCommand")}
        assert came == {"Android", "Web"}
        assert gone.body["platform"] == "Android"
        web.close()
        await double.sink.wait_for("callbackAfterUserOfflineCommand", 2)
        assert len(double.sink.calls) == 4
