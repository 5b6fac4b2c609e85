"""Each webhook: called once, at its URL, with the documented fields and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fixtures.clients.openim_calls import OpenIMError
from fixtures.openim.state import State
from fixtures.openim.webhooks.catalogue import NEVER_CALLED, SERVICES, command
from fixtures.webhook_sink import refuse
from suites.selftest.openim.hooked import ALL_HOOKS, Hooked, connect, gateway, hooked

pytestmark = pytest.mark.anyio

Act = Callable[[Hooked], Awaitable[Any]]

_M = (
    "sendID serverMsgID clientMsgID operationID senderPlatformID senderNickname sessionType msgFrom contentType status"
    " sendTime createTime content seq atUserList faceURL ex"
)
_PUSH = "operationID platformID platform clientMsgID sendID groupID contentType sessionType atUserIDList content"
_GROUP = (
    "groupID groupName notification introduction faceURL ownerUserID createTime memberCount ex status creatorUserID"
    " groupType needVerification lookMemberInfo applyMemberFriend notificationUpdateTime notificationUserID"
    " initMemberList"
)
_SETTINGS = (
    "operationID groupID groupName notification introduction faceURL ex needVerification lookMemberInfo"
    " applyMemberFriend"
)
_CONVERSATION = (
    "ownerUserId conversationId conversationType recvMsgOpt isPinned isPrivateChat burnDuration groupAtType"
    " attachedInfo ex"
)


async def _group(double: Hooked, *, open_to_all: bool = False) -> None:
    await double.im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
    if open_to_all:
        await _post(double, "/group/set_group_info_ex", groupID="g", needVerification=2)


async def _post(double: Hooked, route: str, **body: Any) -> Any:
    return await double.im.call(route, body, operation_id="cause")


async def _befriended(double: Hooked) -> None:
    await double.im.import_friends("ann", ["ben"])


async def _asked(double: Hooked) -> None:
    await _post(double, "/friend/add_friend", fromUserID="ann", toUserID="ben", reqMsg="hi", ex="x")


async def _chatted(double: Hooked) -> None:
    await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")


async def _chatted_in_group(double: Hooked) -> None:
    await _group(double)
    await double.im.send_msg("ann", {"content": "hi"}, group_id="g")


async def _nothing(_double: Hooked) -> None:
    pass


async def _send(double: Hooked) -> None:
    await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben", operation_id="cause")


async def _send_to_group(double: Hooked) -> None:
    await double.im.send_msg("ann", {"content": "hi"}, group_id="g", operation_id="cause")


async def _connect(double: Hooked) -> None:
    async with gateway(double) as url:
        await connect(double, url, "ann")
        await double.sink.wait_for("callbackAfterUserOnlineCommand")


async def _connect_and_leave(double: Hooked) -> None:
    async with gateway(double) as url:
        (await connect(double, url, "ann")).close()
        await double.sink.wait_for("callbackAfterUserOfflineCommand")


def _route(path: str, **body: Any) -> Act:
    return lambda double: _post(double, path, **body)


@dataclass(frozen=True)
class Case:
    """What causes a webhook, after what, and what its body holds: all its names, and some values."""

    name: str
    fields: str
    act: Act
    before: Act = _nothing
    values: dict[str, Any] | None = None


_REGISTER = _route("/user/user_register", users=[{"userID": "dan", "nickname": "Dan", "faceURL": "f"}])
_DAN = [
    {
        "userID": "dan",
        "nickname": "Dan",
        "faceURL": "f",
        "ex": "",
        "createTime": 0,
        "appMangerLevel": 0,
        "globalRecvMsgOpt": 0,
    }
]
_UPDATE = _route("/user/update_user_info", userInfo={"userID": "ann", "nickname": "Ann", "ex": "e"})
_UPDATE_EX = _route("/user/update_user_info_ex", userInfo={"userID": "ann", "nickname": "Ann"})
_ANSWER = _route("/friend/add_friend_response", fromUserID="ann", toUserID="ben", handleResult=1, handleMsg="ok")
_AGREED = {"fromUserID": "ann", "blackUserID": "ben", "HandleResult": 1, "HandleMsg": "ok"}
_IMPORT = _route("/friend/import_friend", ownerUserID="ann", friendUserIDs=["ben"])
_REMARK = _route("/friend/set_friend_remark", ownerUserID="ann", friendUserID="ben", remark="r")
_PAIR = {"ownerUserID": "ann", "friendUserID": "ben"}
_CREATE = _route(
    "/group/create_group",
    ownerUserID="ann",
    adminUserIDs=["cyd"],
    memberUserIDs=["ben"],
    groupInfo={"groupName": "G", "groupType": 2, "groupID": "g", "ex": "gx"},
)
_ANN_CYD_BEN = [
    {"userID": "ann", "roleLevel": 100},
    {"userID": "cyd", "roleLevel": 60},
    {"userID": "ben", "roleLevel": 20},
]
_TWICE = [
    {"userID": "ann", "roleLevel": 100},
    {"userID": "cyd", "roleLevel": 60},
    *({"userID": one, "roleLevel": 20} for one in ("ben", "cyd", "ann", "imAdmin")),
]
_JOIN = _route("/group/join_group", groupID="g", reqMessage="let me", joinSource=3, inviterUserID="cyd", ex="x")
_INVITE = _route("/group/invite_user_to_group", groupID="g", invitedUserIDs=["cyd"], reason="why")
_SET = _route("/group/set_group_info", groupInfoForSet={"groupID": "g", "groupName": "H"})
_SET_EX = _route("/group/set_group_info_ex", groupID="g", groupName="H")
_MEMBER = _route("/group/set_group_member_info", members=[{"groupID": "g", "userID": "ben", "nickname": "B"}])
_BEN_AS_B = {"groupID": "g", "userID": "ben", "nickName": "B", "faceURL": None, "roleLevel": None, "ex": None}
_READ = _route("/msg/mark_msgs_as_read", conversationID="si_ann_ben", userID="ben", seqs=[1])
_READ_GROUP = _route("/msg/mark_conversation_as_read", conversationID="sg_g", userID="ben", hasReadSeq=2)
_REVOKE = _route("/msg/revoke_msg", conversationID="si_ann_ben", userID="ann", seq=1)
_HI = '{"content":"hi"}'

CASES = (
    Case("beforeSendSingleMsg", f"{_M} recvID", _send, values={"recvID": "ben", "content": _HI, "seq": 0}),
    Case("afterSendSingleMsg", f"{_M} recvID", _send, values={"sendID": "ann", "seq": 0, "operationID": "cause"}),
    Case("beforeSendGroupMsg", f"{_M} groupID", _send_to_group, _group, {"groupID": "g", "sessionType": 3}),
    Case("afterSendGroupMsg", f"{_M} groupID", _send_to_group, _group, {"groupID": "g", "atUserList": None}),
    Case("beforeMsgModify", _M, _send, values={"contentType": 101, "content": _HI}),
    Case("afterMsgSaveDB", f"{_M} recvID groupID", _send, values={"recvID": "ben", "groupID": "", "seq": 1}),
    Case(
        "afterRevokeMsg",
        "conversationID seq userID",
        _REVOKE,
        _chatted,
        {"conversationID": "si_ann_ben", "seq": 1, "userID": "ann"},
    ),
    Case(
        "afterSingleMsgRead",
        "conversationID userID Seqs contentType",
        _READ,
        _chatted,
        {"conversationID": "si_ann_ben", "userID": "ben", "Seqs": [1], "contentType": 1},
    ),
    Case(
        "afterGroupMsgRead",
        "sendID receiveID unreadMsgNum contentType",
        _READ_GROUP,
        _chatted_in_group,
        {"sendID": "ben", "receiveID": "ben", "unreadMsgNum": 2, "contentType": 3},
    ),
    Case(
        "afterUserOnline",
        "operationID platformID platform userID seq connID isAppBackground",
        _connect,
        values={"userID": "ann", "platformID": 2, "platform": "Android", "isAppBackground": False},
    ),
    Case(
        "afterUserOffline",
        "operationID platformID platform userID seq connID",
        _connect_and_leave,
        values={"userID": "ann", "platformID": 2, "platform": "Android"},
    ),
    Case(
        "beforeOfflinePush",
        f"{_PUSH} userIDList",
        _send,
        values={"userIDList": ["ben"], "sendID": "ann", "content": _HI},
    ),
    Case("beforeOnlinePush", f"{_PUSH} userIDList", _send, values={"userIDList": ["ben", "ann"], "groupID": ""}),
    Case("beforeGroupOnlinePush", f"{_PUSH} seq", _send_to_group, _group, {"groupID": "g", "seq": 2}),
    Case("beforeUserRegister", "users", _REGISTER, values={"users": _DAN}),
    Case("afterUserRegister", "users", _REGISTER, values={"users": _DAN}),
    Case(
        "beforeUpdateUserInfo",
        "userID nickName faceURL ex",
        _UPDATE,
        values={"userID": "ann", "nickName": "Ann", "faceURL": "", "ex": None},
    ),
    Case("afterUpdateUserInfo", "userID nickName faceURL ex", _UPDATE, values={"nickName": "Ann", "ex": ""}),
    Case(
        "beforeUpdateUserInfoEx",
        "userID nickName faceURL ex",
        _UPDATE_EX,
        values={"userID": "ann", "nickName": "Ann", "faceURL": None},
    ),
    Case("afterUpdateUserInfoEx", "userID nickName faceURL ex", _UPDATE_EX, values={"faceURL": None}),
    Case(
        "beforeAddFriend",
        "fromUserID toUserID reqMsg ex",
        _asked,
        values={"fromUserID": "ann", "toUserID": "ben", "reqMsg": "hi", "ex": "x"},
    ),
    Case("afterAddFriend", "fromUserID toUserID reqMsg", _asked, values={"toUserID": "ben"}),
    Case("beforeAddFriendAgree", "fromUserID blackUserID HandleResult HandleMsg", _ANSWER, _asked, _AGREED),
    Case("afterAddFriendAgree", "fromUserID blackUserID HandleResult HandleMsg", _ANSWER, _asked, _AGREED),
    Case(
        "afterDeleteFriend",
        "ownerUserID friendUserID",
        _route("/friend/delete_friend", ownerUserID="ann", friendUserID="ben"),
        _befriended,
        _PAIR,
    ),
    Case("beforeImportFriends", "ownerUserID friendUserIDs", _IMPORT, values={"friendUserIDs": ["ben"]}),
    Case("afterImportFriends", "ownerUserID friendUserIDs", _IMPORT, values={"ownerUserID": "ann"}),
    Case("beforeSetFriendRemark", "ownerUserID friendUserID remark", _REMARK, _befriended, {**_PAIR, "remark": "r"}),
    Case("afterSetFriendRemark", "ownerUserID friendUserID remark", _REMARK, _befriended, {**_PAIR, "remark": "r"}),
    Case(
        "beforeAddBlack",
        "ownerUserID blackUserID",
        _route("/friend/add_black", ownerUserID="ann", blackUserID="ben"),
        values={"ownerUserID": "ann", "blackUserID": "ben"},
    ),
    Case(
        "afterRemoveBlack",
        "ownerUserID blackUserID",
        _route("/friend/remove_black", ownerUserID="ann", blackUserID="ben"),
        values={"ownerUserID": "ann", "blackUserID": "ben"},
    ),
    Case(
        "beforeCreateGroup",
        f"{_GROUP} operationID",
        _CREATE,
        values={"groupID": "g", "groupName": "G", "initMemberList": _ANN_CYD_BEN, "operationID": "cause"},
    ),
    Case("afterCreateGroup", _GROUP, _CREATE, values={"memberCount": 4, "initMemberList": _TWICE}),
    Case(
        "beforeMemberJoinGroup",
        "groupID memberList groupEx",
        _CREATE,
        values={
            "groupID": "g",
            "memberList": [{"userID": one, "ex": ""} for one in ("ann", "cyd", "ben")],
            "groupEx": "gx",
        },
    ),
    Case(
        "beforeApplyJoinGroup",
        "groupID groupType applyID reqMessage ex",
        _JOIN,
        _group,
        {"groupID": "g", "groupType": "\x02", "applyID": "cyd", "reqMessage": "let me", "ex": "x"},
    ),
    Case(
        "afterJoinGroup",
        "operationID groupID reqMessage joinSource inviterUserID",
        _JOIN,
        lambda double: _group(double, open_to_all=True),
        {"operationID": "cause", "groupID": "g", "reqMessage": "let me", "joinSource": 3, "inviterUserID": "cyd"},
    ),
    Case(
        "beforeInviteUserToGroup",
        "operationID groupID reason invitedUserIDs",
        _INVITE,
        _group,
        {"operationID": "cause", "groupID": "g", "reason": "why", "invitedUserIDs": ["cyd"]},
    ),
    Case(
        "afterQuitGroup",
        "groupID userID",
        _route("/group/quit_group", groupID="g", userID="ben"),
        _group,
        {"groupID": "g", "userID": "ben"},
    ),
    Case(
        "afterKickGroupMember",
        "groupID kickedUserIDs reason",
        _route("/group/kick_group", groupID="g", kickedUserIDs=["ben"], reason="r"),
        _group,
        {"groupID": "g", "kickedUserIDs": ["ben"], "reason": "r"},
    ),
    Case(
        "afterDismissGroup",
        "groupID ownerID groupType membersID",
        _route("/group/dismiss_group", groupID="g"),
        _group,
        {"groupID": "g", "ownerID": "ann", "groupType": "\x02", "membersID": ["ann", "ben"]},
    ),
    Case(
        "afterTransferGroupOwner",
        "groupID oldOwnerUserID newOwnerUserID",
        _route("/group/transfer_group", groupID="g", oldOwnerUserID="ann", newOwnerUserID="ben"),
        _group,
        {"groupID": "g", "oldOwnerUserID": "ann", "newOwnerUserID": "ben"},
    ),
    Case(
        "beforeSetGroupInfo",
        _SETTINGS,
        _SET,
        _group,
        {"groupID": "g", "groupName": "H", "ex": "", "needVerification": 0},
    ),
    Case(
        "afterSetGroupInfo", _SETTINGS, _SET, _group, {"groupName": "H", "notification": "", "needVerification": None}
    ),
    Case("beforeSetGroupInfoEx", _SETTINGS, _SET_EX, _group, {"groupName": "H", "notification": None, "ex": None}),
    Case("afterSetGroupInfoEx", _SETTINGS, _SET_EX, _group, {"groupID": "g", "groupName": "H"}),
    Case("beforeSetGroupMemberInfo", "groupID userID nickName faceURL roleLevel ex", _MEMBER, _group, _BEN_AS_B),
    Case("afterSetGroupMemberInfo", "groupID userID nickName faceURL roleLevel ex", _MEMBER, _group, _BEN_AS_B),
    Case(
        "beforeCreateGroupChatConversations",
        f"{_CONVERSATION} groupId",
        _CREATE,
        values={"ownerUserId": "", "conversationId": "sg_g", "conversationType": 3, "groupId": "g"},
    ),
    Case("afterCreateGroupChatConversations", f"{_CONVERSATION} groupId", _CREATE, values={"groupId": "g"}),
)


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
        assert call.headers["operationid"] == body.get("operationID") or "cause"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_single_chat_is_made_for_each_owner(state: State, when: str) -> None:
    """The webhooks around the conversation of a first message come once for each of the two owners."""
    name = f"{when}CreateSingleChatConversations"
    async with hooked(state) as double:
        double.switch_on(name)
        await _send(double)
        calls = await double.sink.wait_for(command(name), 2)
        await _send(double)
        await asyncio.sleep(0.05)
        assert len(double.sink.calls) == 2
        assert [(call.body["ownerUserId"], call.body["userId"]) for call in calls] == [("ann", "ben"), ("ben", "ann")]
        assert set(calls[0].body) == {"callbackCommand", "userId", *_CONVERSATION.split()}
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
        for act in (_REGISTER, _asked, _ANSWER, _CREATE, _send, _send_to_group, _READ, _REVOKE, _SET, _MEMBER):
            await act(double)
        await asyncio.sleep(0.05)
        assert double.sink.calls == []
