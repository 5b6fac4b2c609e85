"""What causes each webhook, and what its body holds: groups, their members and conversations."""

from __future__ import annotations

from suites.selftest.openim.hook_cases import Case, make_group, route

GROUP = (
    "groupID groupName notification introduction faceURL ownerUserID createTime memberCount ex status creatorUserID"
    " groupType needVerification lookMemberInfo applyMemberFriend notificationUpdateTime notificationUserID"
    " initMemberList"
)
SETTINGS = (
    "operationID groupID groupName notification introduction faceURL ex needVerification lookMemberInfo"
    " applyMemberFriend"
)
CONVERSATION = (
    "ownerUserId conversationId conversationType recvMsgOpt isPinned isPrivateChat burnDuration groupAtType"
    " attachedInfo ex"
)
CREATE = route(
    "/group/create_group",
    ownerUserID="ann",
    adminUserIDs=["cyd"],
    memberUserIDs=["ben"],
    groupInfo={"groupName": "G", "groupType": 2, "groupID": "g", "ex": "gx"},
)
ANN_CYD_BEN = [
    {"userID": "ann", "roleLevel": 100},
    {"userID": "cyd", "roleLevel": 60},
    {"userID": "ben", "roleLevel": 20},
]
TWICE = [
    {"userID": "ann", "roleLevel": 100},
    {"userID": "cyd", "roleLevel": 60},
    *({"userID": one, "roleLevel": 20} for one in ("ben", "cyd", "ann", "imAdmin")),
]
JOIN = route("/group/join_group", groupID="g", reqMessage="let me", joinSource=3, inviterUserID="cyd", ex="x")
INVITE = route("/group/invite_user_to_group", groupID="g", invitedUserIDs=["cyd"], reason="why")
SET = route("/group/set_group_info", groupInfoForSet={"groupID": "g", "groupName": "H"})
SET_EX = route("/group/set_group_info_ex", groupID="g", groupName="H")
MEMBER = route("/group/set_group_member_info", members=[{"groupID": "g", "userID": "ben", "nickname": "B"}])
BEN_AS_B = {"groupID": "g", "userID": "ben", "nickName": "B", "faceURL": None, "roleLevel": None, "ex": None}
CASES: tuple[Case, ...] = (
    Case(
        "beforeCreateGroup",
        f"{GROUP} operationID",
        CREATE,
        values={"groupID": "g", "groupName": "G", "initMemberList": ANN_CYD_BEN, "operationID": "cause"},
    ),
    Case("afterCreateGroup", GROUP, CREATE, values={"memberCount": 4, "initMemberList": TWICE}),
    Case(
        "beforeMemberJoinGroup",
        "groupID memberList groupEx",
        CREATE,
        values={
            "groupID": "g",
            "memberList": [{"userID": one, "ex": ""} for one in ("ann", "cyd", "ben")],
            "groupEx": "gx",
        },
    ),
    Case(
        "beforeApplyJoinGroup",
        "groupID groupType applyID reqMessage ex",
        JOIN,
        make_group,
        {"groupID": "g", "groupType": "\x02", "applyID": "cyd", "reqMessage": "let me", "ex": "x"},
    ),
    Case(
        "afterJoinGroup",
        "operationID groupID reqMessage joinSource inviterUserID",
        JOIN,
        lambda double: make_group(double, open_to_all=True),
        {"operationID": "cause", "groupID": "g", "reqMessage": "let me", "joinSource": 3, "inviterUserID": "cyd"},
    ),
    Case(
        "beforeInviteUserToGroup",
        "operationID groupID reason invitedUserIDs",
        INVITE,
        make_group,
        {"operationID": "cause", "groupID": "g", "reason": "why", "invitedUserIDs": ["cyd"]},
    ),
    Case(
        "afterQuitGroup",
        "groupID userID",
        route("/group/quit_group", groupID="g", userID="ben"),
        make_group,
        {"groupID": "g", "userID": "ben"},
    ),
    Case(
        "afterKickGroupMember",
        "groupID kickedUserIDs reason",
        route("/group/kick_group", groupID="g", kickedUserIDs=["ben"], reason="r"),
        make_group,
        {"groupID": "g", "kickedUserIDs": ["ben"], "reason": "r"},
    ),
    Case(
        "afterDismissGroup",
        "groupID ownerID groupType membersID",
        route("/group/dismiss_group", groupID="g"),
        make_group,
        {"groupID": "g", "ownerID": "ann", "groupType": "\x02", "membersID": ["ann", "ben"]},
    ),
    Case(
        "afterTransferGroupOwner",
        "groupID oldOwnerUserID newOwnerUserID",
        route("/group/transfer_group", groupID="g", oldOwnerUserID="ann", newOwnerUserID="ben"),
        make_group,
        {"groupID": "g", "oldOwnerUserID": "ann", "newOwnerUserID": "ben"},
    ),
    Case(
        "beforeSetGroupInfo",
        SETTINGS,
        SET,
        make_group,
        {"groupID": "g", "groupName": "H", "ex": "", "needVerification": 0},
    ),
    Case(
        "afterSetGroupInfo", SETTINGS, SET, make_group, {"groupName": "H", "notification": "", "needVerification": None}
    ),
    Case("beforeSetGroupInfoEx", SETTINGS, SET_EX, make_group, {"groupName": "H", "notification": None, "ex": None}),
    Case("afterSetGroupInfoEx", SETTINGS, SET_EX, make_group, {"groupID": "g", "groupName": "H"}),
    Case("beforeSetGroupMemberInfo", "groupID userID nickName faceURL roleLevel ex", MEMBER, make_group, BEN_AS_B),
    Case("afterSetGroupMemberInfo", "groupID userID nickName faceURL roleLevel ex", MEMBER, make_group, BEN_AS_B),
    Case(
        "beforeCreateGroupChatConversations",
        f"{CONVERSATION} groupId",
        CREATE,
        values={"ownerUserId": "", "conversationId": "sg_g", "conversationType": 3, "groupId": "g"},
    ),
    Case("afterCreateGroupChatConversations", f"{CONVERSATION} groupId", CREATE, values={"groupId": "g"}),
)
