"""Reading over the socket: highest seqs, pulls by range and by seq, last messages, read positions (sessions 15, 24, 33)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fixtures.openim.state import State
from fixtures.wire import openim_ws_pb2 as pb
from suites.selftest.openim.doubles import ADMIN, in_process
from suites.selftest.openim.sockets import WEB, Door, Socket, served, text_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]

CHAT = "si_ann_ben"


async def chat(door: Door, count: int = 5) -> Socket:
    """Ann has sent so many messages to ben, who is on the web; returns ben's connection."""
    ann, ben = await door.connect("ann"), await door.connect("ben")
    for number in range(count):
        await ann.say(text_message("ann", "ben", text=str(number + 1)))
    await ben.settle()
    await ann.bye()
    return ben


async def ranged(socket: Socket, *, order: Any = 0, **fields: Any) -> tuple[list[int], bool] | None:
    """Pull one range; the seqs found and isEnd, or None where the conversation is absent."""
    request = pb.PullMessageBySeqsReq(userID=socket.user_id, order=order)
    request.seqRanges.add(**{"conversationID": CHAT, **fields})
    found = await socket.call(1002, request)
    assert found.err_code == 0
    answer = pb.PullMessageBySeqsResp.FromString(found.data or b"")
    named = fields.get("conversationID", CHAT)
    chats = answer.notificationMsgs if named.startswith("n_") else answer.msgs
    if named not in chats:
        assert not answer.msgs
        assert not answer.notificationMsgs
        return None
    return [message.seq for message in chats[named].Msgs], chats[named].isEnd


RANGES: list[tuple[dict[str, int], tuple[list[int], bool] | None]] = [
    ({"begin": 1, "end": 5, "num": 10}, ([1, 2, 3, 4, 5], True)),
    ({"begin": 2, "end": 3, "num": 10}, ([2, 3], False)),
    ({"begin": 1, "end": 5, "num": 2}, ([4, 5], True)),
    ({"begin": 1, "end": 4, "num": 2}, ([3, 4], False)),
    ({"begin": 1, "end": 5, "num": 2, "order": 1}, ([4, 5], False)),
    ({"begin": 0, "end": 5, "num": 9, "order": 1}, ([1, 2, 3, 4, 5], True)),
    ({"begin": 5, "end": 99, "num": 1}, ([5], True)),
    ({"begin": -(2**63), "end": 2**63 - 1, "num": 2**63 - 1}, ([1, 2, 3, 4, 5], True)),
    ({"begin": 1, "end": 5, "num": 0}, None),
    ({"begin": 6, "end": 9, "num": 9}, None),
    ({"begin": 4, "end": 2, "num": 9}, None),
]


@pytest.mark.parametrize(("asked", "found"), RANGES)
async def test_ranges_are_inclusive_and_give_their_newest(
    state: State, asked: dict[str, int], found: tuple[list[int], bool] | None
) -> None:
    """Always ascending; isEnd looks in the direction of the pull; nothing found: the key is absent (session 15)."""
    async with served(state) as door:
        assert await ranged(await chat(door), **asked) == found


async def test_unknown_conversations_are_absent_and_notices_come_apart(state: State) -> None:
    """An unknown id is no error; `n_` ones come in notificationMsgs whatever `num` says (session 15)."""
    async with served(state) as door:
        ben = await chat(door)
        assert await ranged(ben, conversationID="si_x_y", begin=1, end=9, num=9) is None
        ann = await door.connect("ann")
        for _ in range(3):
            await ann.say(text_message("ann", "ben", options={"isNotNotification": False}))
        assert await ranged(ben, conversationID="n_ann_ben", begin=1, end=9, num=1) == ([1, 2, 3], True)


async def test_a_jump_of_seqs_costs_no_time(state: State) -> None:
    """After a jump a range of millions holds what is stored and nothing else."""
    async with served(state) as door:
        ben = await chat(door, 2)
        head = state.conversation_seqs.get(CHAT)
        assert head is not None
        state.conversation_seqs.put(replace(head, max_seq=10**12), CHAT)
        ann = await door.connect("ann")
        await ann.say(text_message("ann", "ben"))
        assert await ranged(ben, begin=1, end=2**62, num=2**62) == ([1, 2, 10**12 + 1], True)


async def by_seqs(socket: Socket, seqs: list[int], *, order: Any = 0, name: str = CHAT) -> tuple[list[int], int, bool]:
    """Pull some seqs: those found, endSeq, isEnd."""
    request = pb.GetSeqMessageReq(userID=socket.user_id, order=order)
    request.conversations.add(conversationID=name, seqs=seqs)
    found = await socket.call(1005, request)
    entry = pb.GetSeqMessageResp.FromString(found.data or b"").msgs[name]
    return [message.seq for message in entry.Msgs], entry.endSeq, entry.isEnd


async def test_lists_of_seqs_give_those_that_exist(state: State) -> None:
    """Ascending; endSeq and isEnd tell that one lay beyond the bound. The owner is not checked (session 24)."""
    async with served(state) as door:
        ben = await chat(door)
        assert await by_seqs(ben, [3, 1]) == ([1, 3], 0, False)
        assert await by_seqs(ben, [5, 6, 0, -4]) == ([5], 5, True)
        stranger = await door.connect("cyd")
        assert await by_seqs(stranger, [2]) == ([2], 0, False)


async def test_highest_seqs_are_of_all_conversations_with_their_twins(state: State) -> None:
    """1001: with seq above 0 only, `n_` ones included; minSeqs stay empty."""
    async with served(state) as door, in_process(state) as im:
        ben = await chat(door)
        await im.mark_conversation_as_read("ben", CHAT, 5)
        found = pb.GetMaxSeqResp.FromString((await ben.call(1001, pb.GetMaxSeqReq(userID="ben"))).data or b"")
        assert (dict(found.maxSeqs), dict(found.minSeqs)) == ({CHAT: 5, "n_ann_ben": 1}, {})


async def test_last_messages_of_any_conversation(state: State) -> None:
    """1007: unknown ones are absent, and the owner is not checked (session 24)."""
    async with served(state) as door:
        await chat(door)
        stranger = await door.connect("cyd")
        request = pb.GetLastMessageReq(userID="cyd", conversationIDs=[CHAT, "si_x_y"])
        found = pb.GetLastMessageResp.FromString((await stranger.call(1007, request)).data or b"")
        assert {name: message.seq for name, message in found.msgs.items()} == {CHAT: 5}


async def test_read_positions_of_some_or_all(state: State) -> None:
    """1006: an empty list means all of the user's, without `n_`; a sender has read what it sent (session 10)."""
    async with served(state) as door, in_process(state) as im:
        ben, ann = await chat(door), await door.connect("ann")
        await im.mark_conversation_as_read("ben", CHAT, 3)
        for socket, names, expected in (
            (ben, [], {CHAT: (5, 3)}),
            (ann, [], {CHAT: (5, 5)}),
            (ben, [CHAT, "si_x_y"], {CHAT: (5, 3)}),
            (ben, ["si_x_y"], {}),
        ):
            request = pb.GetConversationsHasReadAndMaxSeqReq(userID=socket.user_id, conversationIDs=names)
            found = await socket.call(1006, request)
            seqs = pb.GetConversationsHasReadAndMaxSeqResp.FromString(found.data or b"").seqs
            assert {name: (one.maxSeq, one.hasReadSeq) for name, one in seqs.items()} == expected
            assert all(one.maxSeqTime == state.now_ms() for one in seqs.values())


async def test_pinned_conversations_come_where_asked_for(state: State) -> None:
    """1006 with returnPinned; absent otherwise."""
    async with served(state) as door, in_process(state) as im:
        ben = await chat(door, 1)
        await im.set_conversations(["ben"], {"conversationID": CHAT, "conversationType": 1, "isPinned": True})
        for pinned in (True, False):
            request = pb.GetConversationsHasReadAndMaxSeqReq(userID="ben", returnPinned=pinned)
            found = await ben.call(1006, request)
            answer = pb.GetConversationsHasReadAndMaxSeqResp.FromString(found.data or b"")
            assert list(answer.pinnedConversationIDs) == [CHAT] * pinned


async def test_reading_for_others_is_refused(state: State) -> None:
    """1001, 1002 and 1006 are of the connection's own user; an administrator may ask for anyone."""
    async with served(state) as door:
        ben = await chat(door)
        requests = {
            1001: pb.GetMaxSeqReq(userID="ann"),
            1002: pb.PullMessageBySeqsReq(userID="ann"),
            1006: pb.GetConversationsHasReadAndMaxSeqReq(userID="ann"),
        }
        admin = await door.connect(ADMIN, WEB)
        for identifier, request in requests.items():
            found = await ben.call(identifier, request)
            assert (found.err_code, found.err_msg, found.data) == (1002, "NoPermissionError", None)
            assert (await admin.call(identifier, request)).err_code == 0


@pytest.mark.parametrize("identifier", [1001, 1002, 1003, 1005, 1006, 1007, 2004, 2005])
async def test_data_that_is_no_protobuf_is_answered(state: State, identifier: int) -> None:
    """500 ServerInternalError, and the connection stays (session 23)."""
    async with served(state) as door:
        ben = await door.connect("ben")
        found = await ben.call(identifier, b"\xff\xff\xff")
        assert (found.err_code, found.err_msg, found.data) == (500, "ServerInternalError", None)
        assert (await ben.call(1004, b"\xff")).err_msg == "ArgsError"


async def test_a_message_for_oneself_alone_deleted_reads_blank(state: State) -> None:
    """What a user deleted is pulled with status 4 and no content; others see it as it was."""
    async with served(state) as door, in_process(state) as im:
        ben, ann = await chat(door, 2), await door.connect("ann")
        body = {"userID": "ben", "conversationID": CHAT, "seqs": [1], "deleteSyncOpt": {}}
        await im.call("/msg/delete_msgs", body)
        for socket, content in ((ben, b""), (ann, b'{"content":"1"}')):
            request = pb.GetSeqMessageReq(userID=socket.user_id)
            request.conversations.add(conversationID=CHAT, seqs=[1])
            found = pb.GetSeqMessageResp.FromString((await socket.call(1005, request)).data or b"")
            (message,) = found.msgs[CHAT].Msgs
            assert (message.content, message.status == 4) == (content, not content)
