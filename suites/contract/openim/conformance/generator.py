"""Requests from the description: what fits it and what does not, mostly about things that exist."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema

from suites.contract.openim.conformance.sample_data import PLACE_OF_TOKEN, World

_KINDS_OF_ID: Final = ("userid", "groupid", "conversationid", "sendid", "recvid")
_OPERATION: Final = {"operationID": "generated"}
_CONTENTS: Final = [{"content": "x", "data": "x"}, {}]
# What the server tells apart, by the field's name in lower case; other numbers are 0, 1 or 2.
_NUMBERS: Final[Mapping[str, list[int]]] = {
    "appmangerlevel": [0, 3, 4],
    "contenttype": [101, 110],
    "end": [2, 100, 4_000_000_000_000],
    "grouptype": [2],
    "handleresult": [1, -1, 0],
    "joinsource": [2, 3, 4],
    "mutedseconds": [60, 0],
    "pagenumber": [1, 2, 0],
    "platformid": [1, 2, 10],
    "rolelevel": [20, 60, 100],
    "sessiontype": [1, 3, 2],
    "seq": [1, 2, 100],
    "shownumber": [20, 1, 0],
    "start": [1, 2],
}
_TEXTS: Final[Mapping[str, list[str]]] = {
    "sendtime": ["2026-11-23", ""],
    "uuid": ["u"],
    "token": [PLACE_OF_TOKEN],
    "ex": ["", "x"],
}


class Generator:
    """Cases of one route: whole requests about what exists, some with parts left out, and some that do not fit.

    With `only_known`, ids are of the world alone: what may be asked of a live server.
    """

    def __init__(self, document: dict[str, Any], world: World, *, only_known: bool = False) -> None:
        self.world, self._only_known = world, only_known
        self._whole, self._loose = _load(self._about_known(document)), _load(_without_security(document))

    def cases(self, path: str) -> list[st.SearchStrategy[Case[Any]]]:
        """Requests to a route: whole ones about what exists, and those of schemathesis' invention."""
        whole, loose = (_operation(schema, path) for schema in (self._whole, self._loose))
        invented: st.SearchStrategy[Case[Any]] = st.one_of(
            loose.as_strategy(GenerationMode.POSITIVE, headers=_OPERATION),
            loose.as_strategy(GenerationMode.NEGATIVE, headers=_OPERATION),
            loose.as_strategy(GenerationMode.NEGATIVE),
        )
        both = [whole.as_strategy(GenerationMode.POSITIVE, headers=_OPERATION), invented]
        return [one.filter(self._allowed) for one in both] if self._only_known else both

    def _allowed(self, case: Case[Any]) -> bool:
        """Whether every text under an id's name is of the world."""
        return all(not text or self.world.prefix in text for text in _ids(case.body, ""))

    def _about_known(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with all fields required, and nothing in them but what exists or is told apart."""
        narrowed = _without_security(document)
        for name, schema in narrowed["components"]["schemas"].items():
            if name.endswith("Req"):
                fields = schema.get("properties", {})
                schema["properties"] = {key: self._field(key, value, of=name) for key, value in fields.items()}
                schema |= {"type": "object", "required": list(fields), "additionalProperties": False}
        for parameter in narrowed["paths"]["/msg/send_simple_msg"]["post"]["parameters"]:
            if parameter.get("name") == "key":
                parameter |= {"required": True, "schema": {"enum": list(self._keys())}}
        return narrowed

    def _keys(self) -> Iterator[str]:
        """Keys as an after-send webhook carries them: base64 of who wrote to whom."""
        ann, ben, cyd = self.world.users
        for sender, receiver, group in (
            (ann, ben, ""),
            (ann, ben, self.world.groups[0]),
            (cyd, ben, ""),
            (cyd, ann, "g"),
        ):
            key = {"sendID": sender, "recvID": receiver, "groupID": group}
            yield base64.b64encode(json.dumps(key).encode()).decode()

    def _field(self, name: str, schema: Mapping[str, Any], *, of: str = "") -> dict[str, Any]:
        kind = schema["type"][0] if "type" in schema else ""
        if kind == "array":
            return {"type": "array", "items": self._field(name, schema["items"], of=of), "minItems": 1, "maxItems": 2}
        if kind == "integer":
            return {"enum": _NUMBERS.get(name.lower(), [0, 1, 2])}
        if kind == "string":
            return {"enum": self._texts(f"{of}.{name}".lower())}
        if kind == "object":
            return {"enum": _CONTENTS if name == "content" else [{"k": "v"}]}
        return {"type": kind} if kind else dict(schema)

    def _texts(self, name: str) -> list[str]:
        world, new = self.world, f"{self.world.prefix}new"
        by_ending = {
            ("userinforeq.userid",): [new, f"{new}er", world.users[0]],
            ("groupinforeq.groupid",): [new, "", world.groups[0]],
            ("creategroupreq.owneruserid",): [world.users[0]],
            ("creategroupreq.memberuserids", "kickreq.kickeduserids"): [world.users[1]],
            ("creategroupreq.adminuserids",): [world.users[2]],
            ("sendmsgreq.sendid",): world.users[:2],
            ("sendmsgreq.groupid",): world.groups[:1],
            ("recvgroupid",): ["", *world.groups],
            ("recvuserid",): ["", *world.users],
            ("conversationid", "conversationids"): [*world.conversations, f"si_{new}"],
            ("groupid", "groupids"): [*world.groups, new],
            ("recvid", "recvids"): [*world.users, world.groups[0]],
            ("userid", "userids", "sendid", "userid1", "userid2"): [*world.users, new],
            ("secret",): [world.secret],
        }
        for endings, known in by_ending.items():
            if name.endswith(endings):
                administrator = [world.admin] if world.admin and name.endswith(".userid") else []
                return known + administrator
        return _TEXTS.get(name.rpartition(".")[2], ["x", "", world.users[0]])


def _ids(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _ids(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from _ids(one, name)
    elif isinstance(value, str) and name.lower().rstrip("s12").endswith(_KINDS_OF_ID):
        yield value


def _operation(schema: BaseSchema, path: str) -> Any:
    operation = schema.find_operation_by_label(f"POST {path}")
    if operation is None:
        raise LookupError(f"The description has no POST {path}")
    return operation


def _without_security(document: dict[str, Any]) -> dict[str, Any]:
    """Tokens are no generated data: who asks is chosen beside the case."""
    copied = copy.deepcopy(document)
    for methods in copied["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    return copied


def _load(document: dict[str, Any]) -> BaseSchema:
    return schemathesis.openapi.from_dict(document, config=schemathesis.Config())
