"""Each switch on messages and pushes does what it says, and logs exactly the cases that it struck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fixtures.openim import conversations as conv
from fixtures.openim.state import State
from fixtures.wire import openim_ws_pb2 as pb
from suites.selftest.openim.doubles import Clock
from suites.selftest.openim.fault_worlds import CHAT, ids, world
from suites.selftest.openim.sockets import text_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]


async def test_with_everything_off_nothing_is_struck(state: State) -> None:
    """Messages are stored and pushed once, in order, and the log stays empty."""
    async with world(state) as w:
        await w.switch()
        await w.say("1", "2", "3")
        assert await w.stored() == await w.pushed() == ids("1", "2", "3")
        assert (await w.own("GET", "faults")).json()["data"] == {
            "seed": 0,
            "delayMs": 0,
            "databaseLagMs": 0,
            "pushGapS": 0.0,
        }
        assert await w.log() == []


async def test_a_lost_message_is_acked_and_nowhere(state: State) -> None:
    """No seq is used, so that no gap shows (trap T16)."""
    async with world(state) as w:
        await w.switch(lose={"limit": 1})
        await w.say("1", "2")
        assert await w.stored() == await w.pushed() == ids("2")
        assert await w.struck() == [("lose", "c-1")]
        (entry,) = await w.log()
        assert (entry["conversationID"], entry["sendID"], entry["seq"]) == (CHAT, "ann", 0)
        assert state.conversation_seqs.get(CHAT).max_seq == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "lost"), [(100, False), (101, True)])
async def test_a_burst_of_more_than_100_in_a_batch_is_lost_whole(state: State, count: int, lost: bool) -> None:
    """All acked, none stored, none pushed, no seq used (trap R1, session 47); other conversations are spared."""
    async with world(state) as w:
        await w.switch(burst={"windowMs": 400})
        asked = [w.ann.ask(1003, text_message("ann", "ben", text=str(number))) for number in range(count)]
        assert [(await w.ann.answer(one)).err_code for one in asked] == [0] * count
        await w.say("other", recvID="ann")
        await w.all_gone_on(1, "si_ann_ann")  # its batch ends after the other one
        assert len(await w.stored()) == len(await w.pushed()) == (0 if lost else count)
        log = await w.log()
        assert [(one["fault"], one["clientMsgID"], one["batch"]) for one in log] == (
            [("burst", f"c-{number}", count) for number in range(count)] if lost else []
        )


async def test_stored_twice_means_two_seqs_and_two_pushes(state: State) -> None:
    """Under one clientMsgID and one serverMsgID; also where batches are on."""
    for settings in ({}, {"burst": {"windowMs": 5}}):
        async with world(state) as w:
            before = len(await w.stored())
            await w.switch(storeTwice={"limit": 1}, **settings)
            await w.own("DELETE", "log")
            await w.say("1", "2")
            await w.all_gone_on(before + 3)
            assert (await w.stored())[before:] == await w.pushed() == ids("1", "1", "2")
            assert await w.struck() == [("storeTwice", "c-1")]


async def test_reordered_messages_are_stored_and_pushed_after_the_next(state: State) -> None:
    """Each pair changes places, seqs included; what follows is in order."""
    async with world(state) as w:
        await w.switch(reorder={"limit": 1})
        await w.say("1", "2", "3")
        assert await w.stored() == await w.pushed() == ids("2", "1", "3")
        assert await w.struck() == [("reorder", "c-1")]
        assert (await w.log())[0]["after"] == "c-2"


async def test_without_a_limit_every_second_message_overtakes(state: State) -> None:
    """The one that overtakes is not held itself."""
    async with world(state) as w:
        await w.switch(reorder={})
        await w.say("1", "2", "3", "4")
        assert await w.stored() == ids("2", "1", "4", "3")
        assert await w.struck() == [("reorder", "c-1"), ("reorder", "c-3")]


async def test_what_nothing_overtakes_was_only_late(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last message is stored in the end, is not logged, and does not count against the limit."""
    monkeypatch.setattr("fixtures.openim.faults._HELD_S", 0.02)
    async with world(state) as w:
        await w.switch(reorder={"limit": 1})
        await w.say("1")
        await w.all_gone_on(1)
        assert await w.log() == []
        await w.say("2", "3")
        assert await w.stored() == ids("1", "3", "2")
        assert await w.struck() == [("reorder", "c-2")]


async def test_reordered_pushes_leave_the_store_in_order(state: State) -> None:
    """The push of the first comes after that of the second."""
    async with world(state) as w:
        await w.switch(reorderPush={"limit": 1})
        await w.say("1", "2", "3")
        assert (await w.stored(), await w.pushed()) == (ids("1", "2", "3"), ids("2", "1", "3"))
        assert await w.struck() == [("reorderPush", "c-1")]


async def test_delayed_messages_come_later_in_order(state: State) -> None:
    """Acked at once, stored and pushed when the delay is over; being slow is no case for the log."""
    async with world(state) as w:
        await w.switch(delayMs=60)
        await w.say("1", "2", "3")
        assert await w.stored() == []
        await w.all_gone_on(3)
        assert await w.stored() == await w.pushed() == ids("1", "2", "3")
        assert await w.log() == []


async def test_not_pushed_is_stored(state: State) -> None:
    """Found by seq, never seen by a listener."""
    async with world(state) as w:
        await w.switch(notPushed={"limit": 1})
        await w.say("1", "2")
        assert (await w.stored(), await w.pushed()) == (ids("1", "2"), ids("2"))
        assert await w.struck() == [("notPushed", "c-1")]
        assert (await w.log())[0]["seq"] == 1


async def test_pushed_twice_is_stored_once(state: State) -> None:
    """Everybody gets it twice with one seq."""
    async with world(state) as w:
        await w.switch(pushTwice={"limit": 1})
        await w.say("1", "2")
        assert await w.stored() == ids("1", "2")
        for socket in (w.ann, w.ben):
            assert [message.seq for _, message in await socket.settle()] == [1, 1, 2]
        assert await w.struck() == [("pushTwice", "c-1")]


async def test_a_young_connection_gets_no_pushes(state: State) -> None:
    """The gap is each connection's own; what falls into it is logged for each that missed it (trap R2, session 44)."""
    async with world(state) as w:
        clock = Clock(1000.0)
        w.door.gateway.monotonic = clock
        for connection in w.door.gateway.hub:
            connection.opened_s = clock.now_s - 9
        await w.switch(pushGapS=1.0)
        young = await w.door.connect("ben")
        await w.say("1")
        clock.now_s += 1
        await w.say("2")
        assert await w.pushed() == ids("1", "2")
        assert [message.clientMsgID for _, message in await young.settle()] == ids("2")
        assert [(one["fault"], one["clientMsgID"], one["userID"]) for one in await w.log()] == [
            ("pushGap", "c-1", "ben")
        ]


async def test_before_the_database_has_it_a_read_message_is_a_placeholder(state: State, clock: Clock) -> None:
    """Seq and status 4 alone until the lag is over, then itself with status 2 (session 48); others stay cached."""
    async with world(state) as w:
        await w.switch(databaseLagMs=5_000)
        await w.say("1", "2")
        await w.rest.call("/msg/mark_msgs_as_read", {"userID": "ben", "conversationID": CHAT, "seqs": [1]})
        blank, cached = await w.pull(1, 2)
        assert {field.name for field, _ in blank.ListFields()} == {"seq", "status"}
        assert (blank.seq, blank.status, cached.clientMsgID, cached.status) == (1, 4, "c-2", 1)
        last = pb.GetLastMessageReq(userID="ben", conversationIDs=[CHAT])
        assert not pb.GetLastMessageResp.FromString((await w.ben.call(1007, last)).data or b"").msgs
        clock.now_s += 5
        (back,) = await w.pull(1)
        assert (back.clientMsgID, back.status, back.isRead) == ("c-1", 2, True)
        assert len(pb.GetLastMessageResp.FromString((await w.ben.call(1007, last)).data or b"").msgs) == 1
        assert await w.log() == []


async def test_before_the_database_has_it_a_revoked_message_is_a_placeholder(state: State, clock: Clock) -> None:
    """Revoking it again is 500, not 1404, until the lag is over (session 49)."""
    async with world(state) as w:
        await w.switch(databaseLagMs=5_000)
        await w.say("1")
        body = {"userID": "ann", "conversationID": CHAT, "seq": 1}
        await w.rest.call("/msg/revoke_msg", body)
        (blank,) = await w.pull(1)
        assert (blank.status, blank.contentType, blank.content) == (4, 0, b"")
        with pytest.raises(Exception, match="500"):
            await w.rest.call("/msg/revoke_msg", body)
        clock.now_s += 5
        (revoked,) = await w.pull(1)
        assert revoked.contentType == 2101
        with pytest.raises(Exception, match="1404"):
            await w.rest.call("/msg/revoke_msg", body)


async def run(state: State, settings: dict[str, Any], count: int = 40) -> list[str]:
    """Which of so many messages a switch strikes."""
    async with world(state) as w:
        await w.own("DELETE", "log")
        await w.switch(**settings)
        await w.say(*map(str, range(count)))
        return [name for _, name in await w.struck()]


async def test_the_same_seed_strikes_the_same_cases(state: State) -> None:
    """Another seed strikes others; about as many as the rate says."""
    first = await run(state, {"seed": 7, "lose": {"rate": 0.5}})
    assert await run(state, {"seed": 7, "lose": {"rate": 0.5}}) == first
    assert await run(state, {"seed": 8, "lose": {"rate": 0.5}}) != first
    assert 8 <= len(first) <= 32


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ({"limit": 2}, ids("0", "1")),
        ({"users": ["ann"], "limit": 1}, ids("0")),
        ({"users": ["ben"]}, []),
        ({"conversations": [CHAT], "limit": 1}, ids("0")),
        ({"conversations": ["si_x_y"]}, []),
    ],
)
async def test_a_switch_strikes_only_what_it_names(state: State, switch: dict[str, Any], expected: list[str]) -> None:
    """Limit, senders and conversations."""
    assert await run(state, {"lose": switch}, 4) == expected


HOLDING: list[dict[str, Any]] = [
    {"reorder": {}},
    {"delayMs": 100},
    {"burst": {"windowMs": 100}},
    {"reorderPush": {}},
    {"delayMs": 100, "reorder": {}, "storeTwice": {"users": ["nobody"]}},
]


@pytest.mark.parametrize("settings", HOLDING)
async def test_new_switches_let_go_of_what_was_held_exactly_once(
    state: State, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    """What was acked and only late is stored and pushed once, and no timer that is left does anything later."""
    monkeypatch.setattr("fixtures.openim.faults._HELD_S", 0.1)
    async with world(state) as w:
        await w.switch(**settings)
        await w.say("1")
        await w.switch()
        assert await w.stored() == await w.pushed() == ids("1")
        await w.switch(**settings)
        await w.say("2")
        await w.switch(lose={"limit": 1})
        await w.say("3", "4")
        await asyncio.sleep(0.15)
        assert (await w.stored(), await w.pushed()) == (ids("1", "2", "4"), ids("2", "4"))
        assert await w.struck() == [("lose", "c-3")]


async def test_a_forgotten_read_mark_is_acknowledged_and_not_kept(state: State) -> None:
    """The reader's position stays where it was, and nobody is told; another reader's moves."""
    async with world(state) as w:
        await w.say("1", "2")
        await w.switch(forgetRead={"users": ["ben"]})
        await w.rest.mark_conversation_as_read("ben", CHAT, 2)
        assert conv.user_seq(state, "ben", CHAT).read_seq == 0
        assert [(one["fault"], one["userID"], one["hasReadSeq"]) for one in await w.log()] == [("forgetRead", "ben", 2)]
        await w.switch()
        await w.rest.mark_conversation_as_read("ben", CHAT, 1)
        assert conv.user_seq(state, "ben", CHAT).read_seq == 1


async def test_notices_are_never_struck(state: State) -> None:
    """Switches are about what users say; a read receipt still arrives."""
    async with world(state) as w:
        await w.say("1")
        await w.switch(lose={}, notPushed={})
        await w.rest.mark_conversation_as_read("ben", CHAT, 1)
        assert [message.contentType for _, message in await w.ben.settle()] == [101, 2200]
        assert await w.log() == []
