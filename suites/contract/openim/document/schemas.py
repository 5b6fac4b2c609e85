"""Rendering the shapes of answers as JSON schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from fixtures.wire import openim_api_pb2 as api_pb
from suites.contract.openim.document.answers import record_name
from suites.contract.openim.document.shapes import MAPS, Shape

# Values that the recordings show only as null, never as null, or not at all, and whose type is known from the definitions
# of the messages: path -> type other than null. `[x]` is a list, `{x}` a map, a capital letter begins the name of a record
# type, `?` marks a key that may be missing.
UNSEEN: Final[Mapping[str, str]] = {
    "MsgData.atUserIDList": "[string]",
    "ConversationOfList.user": "User",  # of a single chat, and recorded only there
    "ConversationOfList.friend": "Friendship",  # recorded only as null; the published protocol names its fields
    "ConversationOfList.group": "Group",
    "/conversation/get_incremental_conversations data.delete": "[string]",
    "/conversation/get_incremental_conversations data.update": "[Conversation]",
    "/friend/get_full_friend_user_ids data.userIDs": "[string]",
    "/friend/get_incremental_friends data.delete": "[string]",
    "/friend/get_incremental_friends data.insert": "[Friend]",
    "/friend/get_incremental_friends data.update": "[Friend]",
    "/group/get_incremental_group_members_batch data.respList{}.delete": "[string]",
    "/group/get_incremental_group_members_batch data.respList{}.insert": "[GroupMember]",
    "/group/get_incremental_join_groups data.delete": "[string]",
    "/group/get_incremental_join_groups data.update": "[Group]",
    "/msg/get_conversations_has_read_and_max_seq data.pinnedConversationIDs": "[string]",
    "/msg/newest_seq data.minSeqs": "{integer}?",
    "/user/subscribe_users_status data.statusList": "[UserStatus]",
}

_PLAIN: Final[Mapping[int, str]] = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_INT32: "integer",
    FieldDescriptor.TYPE_INT64: "integer",
}


def render(shape: Shape, at: str, *, whole: bool = False) -> dict[str, Any]:
    """The schema of a shape. Every list may be null, because the server writes empty lists as null (rarely as `[]`).

    Args:
        at: the path of the shape.
        whole: write out a record instead of a reference to it.
    """
    if at in UNSEEN:
        return _declared(UNSEEN[at])
    name = record_name(shape)
    if name and not whole:
        return _nullable(_reference(name), "null" in shape.kinds)
    kinds = set(shape.kinds) | ({"null"} if "array" in shape.kinds else set())
    schema: dict[str, Any] = {"type": _types(kinds or {"object"})}
    if shape.items is not None:
        schema["items"] = render(shape.items, f"{at}[]")
    if shape.values is not None:
        schema["additionalProperties"] = render(shape.values, f"{at}{{}}")
    elif shape.seen:
        schema |= _fields(shape, at)
    return schema


def _fields(shape: Shape, at: str) -> dict[str, Any]:
    properties = {key: render(one, f"{at}.{key}") for key, one in shape.fields.items()}
    more = {
        place.rpartition(".")[2]: _declared(what.removesuffix("?"))
        for place, what in UNSEEN.items()
        if place.rpartition(".")[0] == at and what.endswith("?")
    }
    return {
        "properties": {**properties, **more},
        # The server leaves out the key of an empty map.
        "required": [key for key in shape.required if key not in MAPS],
        "additionalProperties": False,
    }


def _declared(what: str) -> dict[str, Any]:
    if what.startswith("["):
        return {"type": ["array", "null"], "items": _declared(what[1:-1])}
    if what == api_pb.Friendship.DESCRIPTOR.name:
        return _nullable(_message(api_pb.Friendship), True)
    if what.startswith("{"):
        return {"type": "object", "additionalProperties": _declared(what[1:-1])}
    return _nullable(_reference(what), True) if what[0].isupper() else {"type": what}


def _message(kind: type[Message]) -> dict[str, Any]:
    """The schema of a message with scalar fields as JSON; all keys are required."""
    properties = {field.name: {"type": _PLAIN[field.type]} for field in kind.DESCRIPTOR.fields}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(schema: dict[str, Any], nullable: bool) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema


def _types(kinds: set[str]) -> str | list[str]:
    ordered = sorted(kinds, key=lambda kind: (kind == "null", kind))
    return ordered[0] if len(ordered) == 1 else ordered
