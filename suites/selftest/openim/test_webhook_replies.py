"""What a before-webhook answers: which fields it may replace, and that what it answers is what happens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.clients.openim_calls import OpenIMError
from fixtures.openim.state import State
from fixtures.webhook_sink import go_on
from suites.selftest.openim.hooked import Hooked, hooked

pytestmark = pytest.mark.anyio


async def _agree(double: Hooked, name: str, command: str, **fields: Any) -> None:
    double.switch_on(name)
    double.sink.answer(command, go_on(**fields))


async def _group(double: Hooked, *members: str) -> None:
    await double.im.create_group("ann", name="G", group_id="g", member_user_ids=members)


async def test_a_message_is_rewritten(state: State) -> None:
    """Content, sender's name, receiver and options of the reply are what is stored, for whom the reply names."""
    async with hooked(state) as double:
        await _agree(
            double,
            "beforeMsgModify",
            "callbackBeforeMsgModifyCommand",
            content='{"content":"***"}',
            senderNickname="Nobody",
            recvID="cyd",
            options={"unreadCount": False},
            offlinePushInfo={"title": "T"},
            ex="e",
        )
        await double.im.send_msg("ann", {"content": "secret"}, recv_id="ben")
        (stored,) = state.messages.of("si_ann_cyd").values()
        assert (stored.content, stored.nickname, stored.ex) == ('{"content":"***"}', "Nobody", "e")
        assert stored.options == {"unreadCount": False}
        assert stored.offline_push is not None
        assert stored.offline_push["title"] == "T"
        assert not state.messages.of("si_ann_ben")


async def test_a_rewrite_that_is_no_json_fails_the_request(state: State) -> None:
    """Content must be a JSON object: 1001, and nothing is stored."""
    async with hooked(state) as double:
        await _agree(double, "beforeMsgModify", "callbackBeforeMsgModifyCommand", content="plain")
        with pytest.raises(OpenIMError) as refused:
            await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        assert refused.value.err_code == 1001
        assert "not json" in refused.value.err_dlt
        assert not len(state.messages)


async def test_an_administrator_sends_without_being_asked(state: State) -> None:
    """beforeSendSingleMsg is skipped for administrators as senders (trap T17); beforeMsgModify is not."""
    async with hooked(state) as double:
        double.switch_on("beforeSendSingleMsg", "beforeMsgModify")
        await double.im.send_msg("imAdmin", {"content": "hi"}, recv_id="ben")
        assert [call.command for call in double.sink.calls] == ["callbackBeforeMsgModifyCommand"]


async def test_types_and_receivers_are_filtered(state: State) -> None:
    """Denied types are not told; attentionIds limits the webhook after a send to those receivers; notices never are."""
    async with hooked(state) as double:
        double.switch_on("beforeSendSingleMsg", "afterMsgSaveDB", deniedTypes=[101])
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        assert double.sink.calls == []
        double.switch_on("afterSendSingleMsg", "afterMsgSaveDB", attentionIds=["ben"])
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="cyd")
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        await double.im.create_group("ann", name="G", member_user_ids=["ben"])
        (sent,) = await double.sink.wait_for("callbackAfterSendSingleMsgCommand")
        assert sent.body["recvID"] == "ben"
        saved = await double.sink.wait_for("callbackAfterMsgSaveDBCommand", 2)
        assert {call.body["contentType"] for call in saved} == {101}


async def test_the_key_of_a_sent_message_answers_it(state: State) -> None:
    """The `key` that the webhook after a send carries is the one that send_simple_msg takes."""
    async with hooked(state) as double:
        double.switch_on("afterSendSingleMsg")
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        (call,) = await double.sink.wait_for("callbackAfterSendSingleMsgCommand")
        double.switch_on()
        await double.im.call(f"/msg/send_simple_msg?key={call.query['key']}", {"content": "hello"})
        last = list(state.messages.of("si_ann_ben").values())[-1]
        assert (last.send_id, last.recv_id) == ("ben", "ann")
        assert json.loads(last.content) == {"Content": "hello"}


async def test_other_users_are_registered(state: State) -> None:
    """The reply's users replace those of the request; one that exists breaks the unique index."""
    async with hooked(state) as double:
        await _agree(
            double,
            "beforeUserRegister",
            "callbackBeforeUserRegisterCommand",
            users=[{"userID": "eve", "nickname": "Eve"}],
        )
        await double.im.user_register([{"userID": "dan", "nickname": "Dan"}])
        assert await double.im.account_check(["dan", "eve"]) == {"dan": False, "eve": True}
        with pytest.raises(OpenIMError) as refused:
            await double.im.user_register([{"userID": "dan", "nickname": "Dan"}])
        assert refused.value.err_code == 500
        assert "E11000" in refused.value.err_dlt


@pytest.mark.parametrize("suffix", ["", "Ex"])
async def test_another_profile_is_set(state: State, suffix: str) -> None:
    """Names, picture and `ex` of the reply count, also where the request did not give them."""
    async with hooked(state) as double:
        await _agree(
            double,
            f"beforeUpdateUserInfo{suffix}",
            f"callbackBeforeUpdateUserInfo{suffix}Command",
            nickName="Anna",
            ex="e",
        )
        route = f"/user/update_user_info{'_ex' if suffix else ''}"
        await double.im.call(route, {"userInfo": {"userID": "ann", "nickname": "x", "faceURL": "f"}})
        user = state.users.get("ann")
        assert user is not None
        assert (user.nickname, user.face_url, user.ex) == ("Anna", "f", "e")


async def test_friends_and_remarks_are_replaced(state: State) -> None:
    """The reply's ids are befriended instead of the request's, its remark is set unless it is empty."""
    async with hooked(state) as double:
        await _agree(double, "beforeImportFriends", "callbackBeforeImportFriendsCommand", friendUserIDs=["cyd"])
        await double.im.import_friends("ann", ["ben"])
        assert await double.im.get_friend_ids("ann") == ["cyd"]
        await _agree(double, "beforeSetFriendRemark", "callbackBeforeSetFriendRemarkCommand", remark="better")
        await double.im.call("/friend/set_friend_remark", {"ownerUserID": "ann", "friendUserID": "cyd", "remark": "r"})
        friend = state.friends.get("ann", "cyd")
        assert friend is not None
        assert friend.remark == "better"


async def test_another_group_is_created(state: State) -> None:
    """Any field of the group may be replaced, its id included."""
    async with hooked(state) as double:
        await _agree(
            double, "beforeCreateGroup", "callbackBeforeCreateGroupCommand", groupID="h", groupName="H", ex="e"
        )
        created = await double.im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
        assert (created["groupID"], created["groupName"], created["ex"]) == ("h", "H", "e")
        assert set(await double.im.get_group_member_user_ids("h")) == {"ann", "ben"}


async def test_members_join_as_the_reply_says(state: State) -> None:
    """Name, role and silence of one who joins may be set; those that the reply does not name join as asked."""
    async with hooked(state) as double:
        await _group(double)
        await _agree(
            double,
            "beforeMemberJoinGroup",
            "callbackBeforeMembersJoinGroupCommand",
            memberCallbackList=[{"userID": "ben", "nickname": "B", "roleLevel": 60, "muteEndTime": 7, "ex": "e"}],
        )
        await double.im.invite_user_to_group("g", ["ben", "cyd"])
        ben, cyd = state.members.get("g", "ben"), state.members.get("g", "cyd")
        assert ben is not None
        assert cyd is not None
        assert (ben.nickname, ben.role, ben.mute_end_ms, ben.ex) == ("B", 60, 7, "e")
        assert (cyd.nickname, cyd.role) == ("", 20)


async def test_some_of_the_invited_are_left_out(state: State) -> None:
    """Who stands in refusedMembersAccount is not added; the others are."""
    async with hooked(state) as double:
        await _group(double)
        await _agree(
            double,
            "beforeInviteUserToGroup",
            "callbackBeforeInviteJoinGroupCommand",
            refusedMembersAccount=["ben"],
        )
        await double.im.invite_user_to_group("g", ["ben", "cyd"])
        assert set(await double.im.get_group_member_user_ids("g")) == {"ann", "cyd"}


@pytest.mark.parametrize("suffix", ["", "Ex"])
async def test_groups_are_set_as_the_reply_says(state: State, suffix: str) -> None:
    """The reply's fields replace or join those of the request."""
    async with hooked(state) as double:
        await _group(double)
        await _agree(
            double,
            f"beforeSetGroupInfo{suffix}",
            f"callbackBeforeSetGroupInfo{suffix}Command",
            groupName="Better",
            needVerification=1,
        )
        change = {"groupID": "g", "groupName": "H", "introduction": "i"}
        if suffix:
            await double.im.call("/group/set_group_info_ex", change)
        else:
            await double.im.call("/group/set_group_info", {"groupInfoForSet": change})
        group = state.groups.get("g")
        assert group is not None
        assert (group.name, group.introduction, group.need_verification) == ("Better", "i", 1)


async def test_members_are_set_as_the_reply_says(state: State) -> None:
    """All members are asked for before the first is changed; a refusal of the second leaves the first as it was."""
    async with hooked(state) as double:
        await _group(double, "ben", "cyd")
        command = "callbackBeforeSetGroupMemberInfoCommand"
        await _agree(double, "beforeSetGroupMemberInfo", command, nickName="B", roleLevel=60)
        members = [{"groupID": "g", "userID": one, "nickname": one} for one in ("ben", "cyd")]
        await double.im.call("/group/set_group_member_info", {"members": members[:1]})
        ben = state.members.get("g", "ben")
        assert ben is not None
        assert (ben.nickname, ben.role) == ("B", 60)
        double.sink.answer(command, go_on(nickName="C"), go_on(nextCode=1, errCode=7001))
        with pytest.raises(OpenIMError):
            await double.im.call("/group/set_group_member_info", {"members": members})
        assert state.members.get("g", "ben") == ben


async def test_conversations_are_made_as_the_reply_says(state: State) -> None:
    """The reply's settings are those of the new conversation; a refusal leaves the message and no conversation."""
    async with hooked(state) as double:
        command = "callbackBeforeCreateSingleChatConversationsCommand"
        await _agree(double, "beforeCreateSingleChatConversations", command, isPinned=True, recvMsgOpt=2, ex="e")
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")
        await double.sink.wait_for(command, 2)
        await double.state.hooks.drained()
        own = state.conversations.get("ben", "si_ann_ben")
        assert own is not None
        assert (own.is_pinned, own.recv_msg_opt, own.ex) == (True, 2, "e")
        double.sink.answer(command, go_on(nextCode=1, errCode=7001))
        await double.im.send_msg("ann", {"content": "hi"}, recv_id="cyd")
        await double.sink.wait_for(command, 3)
        await double.state.hooks.drained()
        assert len(state.messages.of("si_ann_cyd")) == 1
        assert state.conversations.get("ann", "si_ann_cyd") is None
