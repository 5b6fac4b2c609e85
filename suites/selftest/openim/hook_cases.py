"""What causes each webhook, and what its body holds: messages, reads, presence, pushes, users, friends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from suites.selftest.openim.hooked import Hooked, connect, gateway

Act = Callable[[Hooked], Awaitable[Any]]

M = (
    "sendID serverMsgID clientMsgID operationID senderPlatformID senderNickname sessionType msgFrom contentType status"
    " sendTime createTime content seq atUserList faceURL ex"
)
PUSH = "operationID platformID platform clientMsgID sendID groupID contentType sessionType atUserIDList content"


async def make_group(double: Hooked, *, open_to_all: bool = False) -> None:
    """Ann's group, with Ben in it."""
    await double.im.create_group("ann", name="G", group_id="g", member_user_ids=["ben"])
    if open_to_all:
        await post(double, "/group/set_group_info_ex", groupID="g", needVerification=2)


async def post(double: Hooked, route: str, **body: Any) -> Any:
    """Call a route as administrator."""
    return await double.im.call(route, body, operation_id="cause")


async def befriended(double: Hooked) -> None:
    """Ann has Ben for a friend."""
    await double.im.import_friends("ann", ["ben"])


async def asked(double: Hooked) -> None:
    """Ann asks Ben to be her friend."""
    await post(double, "/friend/add_friend", fromUserID="ann", toUserID="ben", reqMsg="hi", ex="x")


async def chatted(double: Hooked) -> None:
    """Ann wrote to Ben."""
    await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben")


async def chatted_in_group(double: Hooked) -> None:
    """Ann wrote to her group."""
    await make_group(double)
    await double.im.send_msg("ann", {"content": "hi"}, group_id="g")


async def nothing(double: Hooked) -> None:
    """Nothing comes before."""


async def send(double: Hooked) -> None:
    """Ann writes to Ben."""
    await double.im.send_msg("ann", {"content": "hi"}, recv_id="ben", operation_id="cause")


async def send_to_group(double: Hooked) -> None:
    """Ann writes to her group."""
    await double.im.send_msg("ann", {"content": "hi"}, group_id="g", operation_id="cause")


async def come_online(double: Hooked) -> None:
    """Ann connects."""
    async with gateway(double) as url:
        await connect(double, url, "ann")
        await double.sink.wait_for("callbackAfterUserOnlineCommand")


async def come_and_go(double: Hooked) -> None:
    """Ann connects and leaves."""
    async with gateway(double) as url:
        (await connect(double, url, "ann")).close()
        await double.sink.wait_for("callbackAfterUserOfflineCommand")


def route(path: str, **body: Any) -> Act:
    """An act: one call."""
    return lambda double: post(double, path, **body)


@dataclass(frozen=True)
class Case:
    """What causes a webhook, after what, and what its body holds: all its names, and some values."""

    name: str
    fields: str
    act: Act
    before: Act = nothing
    values: dict[str, Any] | None = None


REGISTER = route("/user/user_register", users=[{"userID": "dan", "nickname": "Dan", "faceURL": "f"}])
DAN = [
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
UPDATE = route("/user/update_user_info", userInfo={"userID": "ann", "nickname": "Ann", "ex": "e"})
UPDATE_EX = route("/user/update_user_info_ex", userInfo={"userID": "ann", "nickname": "Ann"})
ANSWER = route("/friend/add_friend_response", fromUserID="ann", toUserID="ben", handleResult=1, handleMsg="ok")
AGREED = {"fromUserID": "ann", "blackUserID": "ben", "HandleResult": 1, "HandleMsg": "ok"}
IMPORT = route("/friend/import_friend", ownerUserID="ann", friendUserIDs=["ben"])
REMARK = route("/friend/set_friend_remark", ownerUserID="ann", friendUserID="ben", remark="r")
PAIR = {"ownerUserID": "ann", "friendUserID": "ben"}
READ = route("/msg/mark_msgs_as_read", conversationID="si_ann_ben", userID="ben", seqs=[1])
READ_GROUP = route("/msg/mark_conversation_as_read", conversationID="sg_g", userID="ben", hasReadSeq=2)
REVOKE = route("/msg/revoke_msg", conversationID="si_ann_ben", userID="ann", seq=1)
HI = '{"content":"hi"}'

CASES: tuple[Case, ...] = (
    Case("beforeSendSingleMsg", f"{M} recvID", send, values={"recvID": "ben", "content": HI, "seq": 0}),
    Case("afterSendSingleMsg", f"{M} recvID", send, values={"sendID": "ann", "seq": 0, "operationID": "cause"}),
    Case("beforeSendGroupMsg", f"{M} groupID", send_to_group, make_group, {"groupID": "g", "sessionType": 3}),
    Case("afterSendGroupMsg", f"{M} groupID", send_to_group, make_group, {"groupID": "g", "atUserList": None}),
    Case("beforeMsgModify", M, send, values={"contentType": 101, "content": HI}),
    Case("afterMsgSaveDB", f"{M} recvID groupID", send, values={"recvID": "ben", "groupID": "", "seq": 1}),
    Case(
        "afterRevokeMsg",
        "conversationID seq userID",
        REVOKE,
        chatted,
        {"conversationID": "si_ann_ben", "seq": 1, "userID": "ann"},
    ),
    Case(
        "afterSingleMsgRead",
        "conversationID userID Seqs contentType",
        READ,
        chatted,
        {"conversationID": "si_ann_ben", "userID": "ben", "Seqs": [1], "contentType": 1},
    ),
    Case(
        "afterGroupMsgRead",
        "sendID receiveID unreadMsgNum contentType",
        READ_GROUP,
        chatted_in_group,
        {"sendID": "ben", "receiveID": "ben", "unreadMsgNum": 2, "contentType": 3},
    ),
    Case(
        "afterUserOnline",
        "operationID platformID platform userID seq connID isAppBackground",
        come_online,
        values={"userID": "ann", "platformID": 2, "platform": "Android", "isAppBackground": False},
    ),
    Case(
        "afterUserOffline",
        "operationID platformID platform userID seq connID",
        come_and_go,
        values={"userID": "ann", "platformID": 2, "platform": "Android"},
    ),
    Case(
        "beforeOfflinePush",
        f"{PUSH} userIDList",
        send,
        values={"userIDList": ["ben"], "sendID": "ann", "content": HI},
    ),
    Case("beforeOnlinePush", f"{PUSH} userIDList", send, values={"userIDList": ["ben", "ann"], "groupID": ""}),
    Case("beforeGroupOnlinePush", f"{PUSH} seq", send_to_group, make_group, {"groupID": "g", "seq": 2}),
    Case("beforeUserRegister", "users", REGISTER, values={"users": DAN}),
    Case("afterUserRegister", "users", REGISTER, values={"users": DAN}),
    Case(
        "beforeUpdateUserInfo",
        "userID nickName faceURL ex",
        UPDATE,
        values={"userID": "ann", "nickName": "Ann", "faceURL": "", "ex": None},
    ),
    Case("afterUpdateUserInfo", "userID nickName faceURL ex", UPDATE, values={"nickName": "Ann", "ex": ""}),
    Case(
        "beforeUpdateUserInfoEx",
        "userID nickName faceURL ex",
        UPDATE_EX,
        values={"userID": "ann", "nickName": "Ann", "faceURL": None},
    ),
    Case("afterUpdateUserInfoEx", "userID nickName faceURL ex", UPDATE_EX, values={"faceURL": None}),
    Case(
        "beforeAddFriend",
        "fromUserID toUserID reqMsg ex",
        asked,
        values={"fromUserID": "ann", "toUserID": "ben", "reqMsg": "hi", "ex": "x"},
    ),
    Case("afterAddFriend", "fromUserID toUserID reqMsg", asked, values={"toUserID": "ben"}),
    Case("beforeAddFriendAgree", "fromUserID blackUserID HandleResult HandleMsg", ANSWER, asked, AGREED),
    Case("afterAddFriendAgree", "fromUserID blackUserID HandleResult HandleMsg", ANSWER, asked, AGREED),
    Case(
        "afterDeleteFriend",
        "ownerUserID friendUserID",
        route("/friend/delete_friend", ownerUserID="ann", friendUserID="ben"),
        befriended,
        PAIR,
    ),
    Case("beforeImportFriends", "ownerUserID friendUserIDs", IMPORT, values={"friendUserIDs": ["ben"]}),
    Case("afterImportFriends", "ownerUserID friendUserIDs", IMPORT, values={"ownerUserID": "ann"}),
    Case("beforeSetFriendRemark", "ownerUserID friendUserID remark", REMARK, befriended, {**PAIR, "remark": "r"}),
    Case("afterSetFriendRemark", "ownerUserID friendUserID remark", REMARK, befriended, {**PAIR, "remark": "r"}),
    Case(
        "beforeAddBlack",
        "ownerUserID blackUserID",
        route("/friend/add_black", ownerUserID="ann", blackUserID="ben"),
        values={"ownerUserID": "ann", "blackUserID": "ben"},
    ),
    Case(
        "afterRemoveBlack",
        "ownerUserID blackUserID",
        route("/friend/remove_black", ownerUserID="ann", blackUserID="ben"),
        values={"ownerUserID": "ann", "blackUserID": "ben"},
    ),
)
