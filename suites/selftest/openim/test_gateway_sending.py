"""Sending and what is pushed for it: acks, receivers, options, refusals (recorded sessions 10 to 16, 24, 30, 31, 35)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fixtures.openim import tokens
from fixtures.openim.app import create_app
from fixtures.openim.records import Black, Group, Member
from fixtures.openim.state import State
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Request, codec
from suites.selftest.openim.doubles import ADMIN, Clock, in_process
from suites.selftest.openim.sockets import ANDROID, BINARY, IOS, WEB, Door, frame, served, text_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]


def group(state: State, *members: str, group_id: str = "g") -> None:
    """A group whose first member is its owner."""
    state.groups.put(Group(group_id, "G", 1, creator_id=members[0]), group_id)
    for number, name in enumerate(members):
        role = 20 if number else 100
        state.members.put(Member(group_id, name, role, 1, 2, ADMIN, ADMIN), group_id, name)


async def test_the_ack_comes_first_and_carries_no_seq(state: State, clock: Clock) -> None:
    """Queued, not stored: the seq is in the push that follows on the same connection (session 10)."""
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben")
        ack_id = ann.ask(1003, text_message("ann", "ben"))
        answer = await ann.envelope()
        assert (answer.req_identifier, answer.msg_incr, answer.operation_id) == (1003, ack_id, "op1")
        ack = pb.UserSendMsgResp.FromString(answer.data or b"")
        assert {one.name for one, _ in ack.ListFields()} == {"serverMsgID", "clientMsgID", "sendTime"}
        assert (len(ack.serverMsgID), ack.clientMsgID, ack.sendTime) == (32, "c-hi", int(clock() * 1000))
        for socket in (ann, ben):
            ((name, pushed),) = await socket.settle()
            assert socket.causes == ["op1"]
            sent = text_message("ann", "ben", serverMsgID=ack.serverMsgID, seq=1, sendTime=ack.sendTime, status=2)
            assert (name, pushed) == ("si_ann_ben", sent)


async def test_a_clients_own_time_is_kept(state: State) -> None:
    """A sendTime that is not zero stays as it is (session 11)."""
    async with served(state) as door:
        ann = await door.connect("ann")
        door.token("ben", WEB)
        assert (await ann.say(text_message("ann", "ben", sendTime=77))).sendTime == 77


async def test_every_connection_of_both_sides_gets_the_push_once(state: State) -> None:
    """The sending one included, several of one token too (sessions 12 and 18)."""
    async with served(state) as door:
        sockets = [await door.connect("ann", platform) for platform in (WEB, WEB, ANDROID)]
        sockets += [await door.connect("ben", platform) for platform in (WEB, IOS)]
        stranger = await door.connect("cyd")
        await sockets[0].say(text_message("ann", "ben"))
        assert [[message.seq for _, message in await socket.settle()] for socket in sockets] == [[1]] * 5
        assert await stranger.settle() == []


async def test_a_message_to_oneself_is_pushed_once_a_connection(state: State) -> None:
    """Its conversation names the user twice (session 13)."""
    async with served(state) as door:
        sockets = [await door.connect("ann"), await door.connect("ann", IOS)]
        await sockets[0].say(text_message("ann", "ann"))
        assert [[name for name, _ in await socket.settle()] for socket in sockets] == [["si_ann_ann"]] * 2


async def test_a_group_message_goes_to_every_member(state: State) -> None:
    """The sender included, whatever senderSync says; others get nothing (session 14)."""
    group(state, "ann", "ben", "cyd")
    async with served(state) as door:
        ann, ben, dan = await door.connect("ann"), await door.connect("ben", IOS), await door.connect("dan")
        await ann.say(text_message("ann", group="g", options={"senderSync": False}))
        await ann.say(text_message("ann", group="g", recvID="ben"))
        for socket in (ann, ben):
            assert [(name, message.seq) for name, message in await socket.settle()] == [("sg_g", 1), ("sg_g", 2)]
        assert await dan.settle() == []


@pytest.mark.parametrize(
    ("options", "seqs", "notice", "mine"),
    [
        ({}, [1, 2], False, True),
        ({"senderSync": False}, [1, 2], False, False),
        ({"history": False}, [0, 0], False, True),
        ({"history": False, "senderSync": False, "persistent": False}, [0, 0], False, False),
        ({"isNotNotification": False}, [1, 2], True, True),
        ({"unreadCount": False, "other": True}, [1, 2], False, True),
    ],
)
async def test_options_say_what_is_stored_and_who_is_told(
    state: State, options: dict[str, bool], seqs: list[int], notice: bool, mine: bool
) -> None:
    """A missing key counts as true; those that do nothing here travel unchanged (session 11)."""
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben")
        for text in ("one", "two"):
            await ann.say(text_message("ann", "ben", text=text, options=options))
        pushes = await ben.settle()
        assert [message.seq for _, message in pushes] == seqs
        assert {name for name, _ in pushes} == {"n_ann_ben" if notice else "si_ann_ben"}
        assert all(dict(message.options) == options for _, message in pushes)
        assert len(await ann.settle()) == (2 if mine else 0)


async def test_odd_content_is_taken_stored_and_pushed(state: State) -> None:
    """Raw bytes, no content, contentType 0, no clientMsgID: nothing of it is checked (sessions 11 and 24)."""
    async with served(state) as door, in_process(state) as im:
        ann, ben = await door.connect("ann"), await door.connect("ben", sdk="go")
        contents = [bytes(range(256)), b"", b"\xff\x00", b"\xed\xa0\x80"]
        for content in contents:
            await ann.say(text_message("ann", "ben", content=content, contentType=0, clientMsgID=""))
        assert [message.content for _, message in await ben.settle()] == contents
        found = await ben.call(1005, pulled("ben", "si_ann_ben", [1, 2, 3, 4]))
        messages = pb.GetSeqMessageResp.FromString(found.data or b"").msgs["si_ann_ben"].Msgs
        assert [message.content for message in messages] == contents
        assert len(await im.pull_msg_by_seq("ben", "si_ann_ben", begin=1, end=9)) == 4


def pulled(user_id: str, conversation: str, seqs: list[int]) -> pb.GetSeqMessageReq:
    """A pull of some seqs."""
    request = pb.GetSeqMessageReq(userID=user_id)
    request.conversations.add(conversationID=conversation, seqs=seqs)
    return request


async def test_every_field_of_a_message_arrives(state: State) -> None:
    """Pushed and pulled as it was sent, but for what the server sets: id, seq, time, status."""
    sent = text_message(
        "ann",
        "ben",
        senderNickname="Ann",
        senderFaceURL="face",
        options={"unreadCount": False, "notPrivate": True},
        offlinePushInfo=pb.OfflinePushInfo(title="t", desc="d", ex="e", iOSPushSound="s", iOSBadgeCount=True),
        atUserIDList=["ben", "cyd"],
        attachedInfo="a",
        ex="x",
    )
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben")
        ack = await ann.say(sent)
        sent.serverMsgID, sent.sendTime, sent.seq, sent.status = ack.serverMsgID, ack.sendTime, 1, 2
        ((_, pushed),) = await ben.settle()
        assert pushed == sent
        found = await ben.call(1005, pulled("ben", "si_ann_ben", [1]))
        (stored,) = pb.GetSeqMessageResp.FromString(found.data or b"").msgs["si_ann_ben"].Msgs
        sent.status = 1
        assert stored == sent


async def test_the_same_message_twice_is_two_messages(state: State) -> None:
    """A new serverMsgID, a new seq, another push: clients remove duplicates (session 30)."""
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben")
        acks = [await ann.say(text_message("ann", "ben")) for _ in range(2)]
        assert acks[0].serverMsgID != acks[1].serverMsgID
        assert [(message.clientMsgID, message.seq) for _, message in await ben.settle()] == [("c-hi", 1), ("c-hi", 2)]


async def refused(door: Door, sender: str, message: pb.MsgData | bytes) -> tuple[int, str]:
    """How a message is refused; the connection stays, and nothing was stored."""
    socket = await door.connect(sender)
    found = await socket.call(1003, message)
    assert found.data is None
    assert (await socket.call(1004)).err_code == 1001
    assert not len(door.state.messages)
    return found.err_code, found.err_msg


REFUSALS: dict[str, tuple[pb.MsgData | bytes, int, str]] = {
    "other sender": (text_message("ben", "cyd"), 1002, "NoPermissionError"),
    "no sender": (text_message("", "ben"), 1002, "NoPermissionError"),
    "session type 2": (text_message("ann", "ben", sessionType=2), 1001, "ArgsError"),
    "session type 0": (text_message("ann", "ben", sessionType=0), 1001, "ArgsError"),
    "unknown receiver": (text_message("ann", "nobody"), 1004, "RecordNotFoundError"),
    "no receiver": (text_message("ann", ""), 1004, "RecordNotFoundError"),
    "blocked": (text_message("ann", "blocker"), 1302, "BlockedByPeer"),
    "takes nothing": (text_message("ann", "deaf"), 1001, "ArgsError"),
    "no member": (text_message("ann", group="others"), 1002, "NoPermissionError"),
    "no such group": (text_message("ann", group="none"), 500, "ServerInternalError"),
    "group muted": (text_message("ann", group="muted"), 1403, "MutedGroup"),
    "member muted": (text_message("ann", group="quiet"), 1402, "MutedInGroup"),
    "group dismissed": (text_message("ann", group="gone"), 1204, "DismissedAlreadyError"),
    "no protobuf": (b"\xff\xff", 500, "ServerInternalError"),
    "text that is no UTF-8": (b"\x0a\x01\xff", 500, "ServerInternalError"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_refusals_are_answered_and_the_connection_stays(state: State, clock: Clock, case: str) -> None:
    """Code and name alone, no data (sessions 23, 24 and 31)."""
    message, code, name = REFUSALS[case]
    async with served(state) as door:
        for user_id in ("ann", "ben", "blocker", "deaf", "owner"):
            door.token(user_id, WEB)
        state.blacks.put(Black("blocker", "ann", 1, ADMIN), "blocker", "ann")
        deaf = state.users.get("deaf")
        assert deaf is not None
        state.users.put(replace(deaf, recv_opt=1), "deaf")
        for group_id in ("others", "muted", "quiet", "gone"):
            group(state, "owner", *(() if group_id == "others" else ("ann",)), group_id=group_id)
        changes: dict[str, dict[str, Any]] = {"muted": {"status": 3}, "gone": {"status": 2}}
        for group_id, changed in changes.items():
            known = state.groups.get(group_id)
            assert known is not None
            state.groups.put(replace(known, **changed), group_id)
        member = state.members.get("quiet", "ann")
        assert member is not None
        state.members.put(replace(member, mute_end_ms=int(clock() * 1000) + 1), "quiet", "ann")
        assert await refused(door, "ann", message) == (code, name)


async def test_an_owner_may_speak_in_a_muted_group(state: State) -> None:
    """A muted group mutes its ordinary members (session 31)."""
    group(state, "ann", "ben")
    known = state.groups.get("g")
    assert known is not None
    state.groups.put(replace(known, status=3), "g")
    async with served(state) as door:
        ann = await door.connect("ann")
        assert (await ann.say(text_message("ann", group="g"))).serverMsgID


async def test_pipelined_requests_are_answered_in_order(state: State) -> None:
    """A hundred at once: acks in order, pushes in seq order without a gap (session 35)."""
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben")
        asked = [ann.ask(1003, text_message("ann", "ben", text=str(number))) for number in range(100)]
        assert [(await ann.answer(one)).msg_incr for one in asked] == asked
        await ann.settle()
        pushed = await ben.settle()
        assert [(message.seq, message.clientMsgID) for _, message in pushed] == [
            (number + 1, f"c-{number}") for number in range(100)
        ]


async def test_two_senders_share_one_sequence(state: State) -> None:
    """All members see the same seqs, and each sender's messages in their own order (session 36)."""
    group(state, "ann", "ben", "cyd")
    async with served(state) as door:
        sockets = {name: await door.connect(name) for name in ("ann", "ben", "cyd")}
        for number in range(20):
            for name in ("ann", "ben"):
                sockets[name].ask(1003, text_message(name, group="g", text=f"{name}{number}"))
        for name in ("ann", "ben"):
            for number in range(20):
                await sockets[name].answer(str(number + 1))
        seen = [[(one.seq, one.clientMsgID) for _, one in await socket.settle()] for socket in sockets.values()]
        assert seen[0] == seen[1] == seen[2]
        assert [seq for seq, _ in seen[0]] == list(range(1, 41))
        for name in ("ann", "ben"):
            assert [one for _, one in seen[0] if name in one] == [f"c-{name}{number}" for number in range(20)]


async def test_what_was_missed_is_not_pushed_later(state: State) -> None:
    """No push on connect: what came before is found by seq (sessions 15 and 16)."""
    async with served(state) as door:
        door.token("ben", WEB)
        ann = await door.connect("ann")
        await ann.say(text_message("ann", "ben"))
        ben = await door.connect("ben")
        assert await ben.settle() == []
        found = await ben.call(1001, pb.GetMaxSeqReq(userID="ben"))
        assert dict(pb.GetMaxSeqResp.FromString(found.data or b"").maxSeqs) == {"si_ann_ben": 1}


async def test_rest_messages_arrive_the_same_way(state: State) -> None:
    """With the sender's platform and no status (session 39)."""
    async with served(state) as door, in_process(state) as im:
        ben = await door.connect("ben")
        door.token("ann", WEB)
        await im.send_msg("ann", {"content": "hi"}, recv_id="ben", operation_id="cause")
        ((name, message),) = await ben.settle()
        assert (name, message.seq, message.status) == ("si_ann_ben", 1, 0)


async def test_text_that_is_no_unicode_reaches_nobody_as_a_failure(state: State) -> None:
    """Half a surrogate pair in REST's content or in a request's ids becomes something that can be sent."""
    body = {"sendID": "ann", "recvID": "ben", "contentType": 101, "sessionType": 1, "content": {"content": "x\ud800"}}
    headers = {b"operationID": b"\xff", b"token": tokens.issue(state, ADMIN, 10).encode()}
    async with served(state) as door, httpx.AsyncClient(transport=httpx.ASGITransport(create_app(state))) as rest:
        ben = await door.connect("ben")
        door.token("ann", WEB)
        answer = await rest.post("http://double/msg/send_msg", content=json.dumps(body), headers=headers)
        assert answer.json()["errCode"] == 0
        assert len(await ben.settle()) == 1
        odd = codec("js").encode_request(Request(1004, send_id="ben", msg_incr="@")).replace(b"@", b"\\udfff")
        ben.write(frame(BINARY, odd))
        assert (await ben.envelope()).msg_incr == "�"
