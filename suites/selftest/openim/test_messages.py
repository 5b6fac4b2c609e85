"""Messages and notices beyond the recordings: pushes, removed members, receivers' settings."""

from __future__ import annotations

import json

import pytest

from fixtures.clients.openim_rest import OpenIMError, OpenIMRest
from fixtures.openim import groups
from fixtures.openim.state import Push, State
from suites.selftest.openim.doubles import Clock, in_process

pytestmark = pytest.mark.anyio


async def people(im: OpenIMRest, *names: str) -> None:
    """Register users named after their ids."""
    await im.user_register([{"userID": name, "nickname": name} for name in names])


async def test_a_removed_member_sees_up_to_the_removal_and_all_again_after_coming_back(state: State) -> None:
    """The bound lies on the notice of the removal, also for maxSeq."""
    async with in_process(state) as im:
        await people(im, "ann", "ben")
        await im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
        await im.send_msg("ann", {"content": "before"}, group_id="g")
        await im.kick_group("g", ["ben"])
        await im.send_msg("ann", {"content": "after"}, group_id="g")
        seen = [row["seq"] for row in await im.pull_msg_by_seq("ben", "sg_g", begin=1, end=99)]
        assert seen == [1, 2, 3]
        assert (await im.get_read_and_max_seqs("ben"))["sg_g"]["maxSeq"] == 3
        assert (await im.newest_seq("ben"))["sg_g"] == 4
        await im.invite_user_to_group("g", ["ben"])
        assert len(await im.pull_msg_by_seq("ben", "sg_g", begin=1, end=99)) == 5


async def test_pushes_name_receivers_conversation_and_cause(state: State) -> None:
    """Single: both sides. Group: notice in the chat with a seq, the same ids in the notification twin without."""
    pushes: list[Push] = []
    state.push_listeners.append(pushes.append)
    async with in_process(state) as im:
        await people(im, "ann", "ben")
        await im.send_msg("ann", {"content": "hi"}, recv_id="ben", operation_id="cause")
        await im.send_msg("ann", {"content": "typing"}, recv_id="ben", online_only=True)
        await im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
    stored, online, shown, twin = pushes
    assert (stored.conversation_id, stored.message.seq, stored.operation_id) == ("si_ann_ben", 1, "cause")
    assert set(stored.receivers) == {"ann", "ben"}
    assert (online.message.seq, set(online.receivers)) == (0, {"ben"})
    assert (shown.conversation_id, shown.message.seq) == ("sg_g", 1)
    assert (twin.conversation_id, twin.message.seq) == ("n_g", 0)
    assert shown.message.client_msg_id == twin.message.client_msg_id
    assert set(twin.receivers) == {"ann", "ben"}
    detail = json.loads(json.loads(twin.message.content)["detail"])
    assert detail["group"]["groupID"] == "g"


async def test_who_takes_no_messages_gets_none(state: State) -> None:
    """Globally or for one conversation; "no notify" still gets them, marked."""
    async with in_process(state) as im:
        await people(im, "ann", "ben")
        opt = {"userID": "ben", "globalRecvMsgOpt": 1}
        await im.call("/user/set_global_msg_recv_opt", opt)
        with pytest.raises(OpenIMError, match="message is not sent"):
            await im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        await im.call("/user/set_global_msg_recv_opt", {**opt, "globalRecvMsgOpt": 2})
        await im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        data = await im.call(
            "/msg/pull_msg_by_seq",
            {
                "userID": "ben",
                "seqRanges": [{"conversationID": "si_ann_ben", "begin": 1, "end": 1, "num": 1}],
            },
        )
    assert data["msgs"]["si_ann_ben"]["Msgs"][0]["options"] == {"offlinePush": False}


async def test_a_dismissed_group_loses_its_members_a_moment_later(state: State, clock: Clock) -> None:
    """The group stays with status 2; what comes later is refused with 1204."""
    async with in_process(state) as im:
        await people(im, "ann", "ben")
        await im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
        await im.dismiss_group("g")
        assert len(await im.get_group_member_user_ids("g")) == 2
        clock.now_s += groups.DISMISSAL_DELAY_S
        assert await im.get_group_member_user_ids("g") == []
        assert (await im.get_groups_info(["g"]))["g"]["status"] == 2
        with pytest.raises(OpenIMError, match="1204"):
            await im.send_msg("ann", {"content": "x"}, group_id="g")
        with pytest.raises(OpenIMError, match="1204"):
            await im.invite_user_to_group("g", ["ben"])


async def test_ids_with_underscores_share_a_conversation(state: State) -> None:
    """Trap T7: {a, b_c} and {a_b, c} are one conversation id."""
    async with in_process(state) as im:
        await people(im, "a", "b_c", "a_b", "c")
        await im.send_msg("a", {"content": "1"}, recv_id="b_c")
        await im.send_msg("a_b", {"content": "2"}, recv_id="c")
        assert await im.newest_seq("a") == {"si_a_b_c": 2}


async def test_content_is_kept_as_the_server_rewrites_it(state: State) -> None:
    """Sorted keys, escaped angle brackets, emoji as they are, unknown fields kept, sendTime kept."""
    async with in_process(state) as im:
        await people(im, "ann", "ben")
        sent = await im.send_msg("ann", {"z": 1, "content": "<b> 😀"}, recv_id="ben", send_time_ms=1_600_000_000_000)
        hits, _ = await im.search_msg(send_id="ann", day="2020-09-13")
    assert sent["sendTime"] == 1_600_000_000_000
    assert hits[0]["chatLog"]["content"] == '{"content":"\\u003cb\\u003e 😀","z":1}'
