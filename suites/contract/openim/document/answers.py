"""The descriptions of answers, derived from the recorded answers of a real server and not from the double."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from suites.contract.openim.document.shapes import Shape
from suites.contract.openim.rest.alternatives import distinct_answers
from suites.contract.openim.sdk import recording as sdk_recording

NO_BODY: Final = -1
"""In place of the errCode of an answer without a body."""


@dataclass(frozen=True, kw_only=True)
class RecordType:
    """An object that many routes return. Its examples in all answers are combined into one shape."""

    keys: frozenset[str]
    optional: frozenset[str] = frozenset()

    def describes(self, shape: Shape) -> bool:
        """Whether a shape is of this type."""
        return bool(shape.fields) and shape.keys - self.optional == self.keys


def _record(keys: str, optional: str = "") -> RecordType:
    return RecordType(keys=frozenset(keys.split()), optional=frozenset(optional.split()))


RECORDS: Final[Mapping[str, RecordType]] = {
    "User": _record("userID nickname faceURL ex createTime appMangerLevel globalRecvMsgOpt"),
    "PublicUser": _record("userID nickname faceURL ex"),
    "NotificationAccount": _record("userID faceURL nickName appMangerLevel"),
    "Group": _record(
        "groupID groupName notification introduction faceURL ownerUserID createTime memberCount ex status creatorUserID "
        "groupType needVerification lookMemberInfo applyMemberFriend notificationUpdateTime notificationUserID"
    ),
    "GroupMember": _record(
        "groupID userID roleLevel joinTime nickname faceURL appMangerLevel joinSource operatorUserID ex muteEndTime "
        "inviterUserID"
    ),
    "GroupRequest": _record(
        "userInfo groupInfo handleResult reqMsg handleMsg reqTime handleUserID handleTime ex joinSource inviterUserID"
    ),
    "Friend": _record("ownerUserID remark createTime friendUser addSource operatorUserID ex isPinned"),
    "FriendRequest": _record(
        "fromUserID fromNickname fromFaceURL toUserID toNickname toFaceURL handleResult reqMsg createTime handlerUserID "
        "handleMsg handleTime ex"
    ),
    "Conversation": _record(
        "ownerUserID conversationID recvMsgOpt conversationType userID groupID isPinned attachedInfo isPrivateChat "
        "groupAtType ex burnDuration minSeq maxSeq msgDestructTime latestMsgDestructTime isMsgDestruct"
    ),
    "ConversationOfList": _record("conversation lastMsg user friend group maxSeq readSeq"),
    # OpenIM leaves out an empty map of options.
    "MsgData": _record(
        "sendID recvID groupID clientMsgID serverMsgID senderPlatformID senderNickname senderFaceURL sessionType msgFrom "
        "contentType content seq sendTime createTime status isRead offlinePushInfo atUserIDList attachedInfo ex",
        "options",
    ),
    "PulledMessages": _record("Msgs isEnd endSeq"),
    "UserStatus": _record("userID status platformIDs"),
}


@dataclass
class RouteAnswers:
    """The recorded answers of one route to POST."""

    codes: dict[int, Counter[int]] = field(default_factory=dict)
    """HTTP status -> errCode -> number of answers."""
    data: Shape = field(default_factory=Shape)
    with_data: int = 0
    without_data: int = 0

    def learn(self, status: int, answer: Any) -> None:
        """Add an answer."""
        code = answer["errCode"] if isinstance(answer, dict) else NO_BODY
        self.codes.setdefault(status, Counter())[code] += 1
        if code == 0 and "data" in answer:
            self.with_data += 1
            self.data.add(answer["data"])
        elif code == 0:
            self.without_data += 1


@dataclass(frozen=True, kw_only=True)
class RecordedAnswers:
    """All recorded answers."""

    routes: Mapping[str, RouteAnswers]
    """Path -> answers."""
    records: Mapping[str, Shape]
    """Name of a record type -> the shape of all its examples."""
    messages: Mapping[int, frozenset[str]]
    """errCode -> the values of errMsg with it."""


def recorded() -> RecordedAnswers:
    """The answers in the REST cases and in the calls of published client SDKs."""
    routes: dict[str, RouteAnswers] = {}
    messages: dict[int, set[str]] = {}
    for path, status, answer in _answers():
        routes.setdefault(path, RouteAnswers()).learn(status, answer)
        if isinstance(answer, dict) and answer["errCode"]:
            messages.setdefault(answer["errCode"], set()).add(answer["errMsg"])
    return RecordedAnswers(
        routes=routes,
        records=_pool(routes),
        messages={code: frozenset(texts) for code, texts in sorted(messages.items())},
    )


def _answers() -> Iterator[tuple[str, int, Any]]:
    for case in distinct_answers():
        if case.method == "POST":
            yield case.path.partition("?")[0], case.status, case.response
    for call in sdk_recording.load():
        # A string is protobuf in base64: the answer to a protobuf request, which the document leaves out.
        if not isinstance(call.response.get("data"), str):
            yield call.path, call.status, call.response


def _pool(routes: Mapping[str, RouteAnswers]) -> dict[str, Shape]:
    pools: dict[str, Shape] = {name: Shape() for name in RECORDS}
    for one in routes.values():
        for _, shape in one.data.walk():
            name = record_name(shape)
            if name:
                pools[name].merge(Shape(fields=shape.fields, present=shape.present, seen=shape.seen))
    missing = [name for name, pool in pools.items() if not pool.seen]
    if missing:
        raise ValueError(f"No recorded answer contains these record types: {missing}")
    return pools


def record_name(shape: Shape) -> str:
    """The name of the record type of a shape; "" for none."""
    return next((name for name, record in RECORDS.items() if record.describes(shape)), "")
