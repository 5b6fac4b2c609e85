"""Generating requests from the description: valid and invalid ones, most of them about existing data."""

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

from suites.contract.openim.conformance.sample_data import TOKEN_PLACEHOLDER, SampleData

_KINDS_OF_ID: Final = ("userid", "groupid", "conversationid", "sendid", "recvid")
_OPERATION: Final = {"operationID": "generated"}
_CONTENTS: Final = [{"content": "x", "data": "x"}, {}]
# Field name in lower case -> the values that the server distinguishes; other numbers are 0, 1 or 2.
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
    "token": [TOKEN_PLACEHOLDER],
    "ex": ["", "x"],
}


class Generator:
    """Generates cases of a route: complete requests about existing data, incomplete ones, and invalid ones.

    Args:
        only_known: use only ids of the sample data, as a live server requires.
    """

    def __init__(self, document: dict[str, Any], sample: SampleData, *, only_known: bool = False) -> None:
        self.sample, self._only_known = sample, only_known
        self._whole, self._loose = _load(self._about_known(document)), _load(_without_security(document))

    def cases(self, path: str) -> list[st.SearchStrategy[Case[Any]]]:
        """Strategies for a route: complete requests about existing data, and what schemathesis generates."""
        whole, loose = (_operation(schema, path) for schema in (self._whole, self._loose))
        invented: st.SearchStrategy[Case[Any]] = st.one_of(
            loose.as_strategy(GenerationMode.POSITIVE, headers=_OPERATION),
            loose.as_strategy(GenerationMode.NEGATIVE, headers=_OPERATION),
            loose.as_strategy(GenerationMode.NEGATIVE),
        )
        both = [whole.as_strategy(GenerationMode.POSITIVE, headers=_OPERATION), invented]
        return [one.filter(self._allowed) for one in both] if self._only_known else both

    def _allowed(self, case: Case[Any]) -> bool:
        """Whether every id in a case is of the sample data."""
        return all(not text or self.sample.prefix in text for text in _ids(case.body, ""))

    def _about_known(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with all fields required and their values limited to existing data and distinguished values."""
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
        """Keys as an after-send webhook carries them: base64 of sender and receiver [F101]."""
        ann, ben, cyd = self.sample.users
        for sender, receiver, group in (
            (ann, ben, ""),
            (ann, ben, self.sample.groups[0]),
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
        sample, new = self.sample, f"{self.sample.prefix}new"
        by_ending = {
            ("userinforeq.userid",): [new, f"{new}er", sample.users[0]],
            ("groupinforeq.groupid",): [new, "", sample.groups[0]],
            ("creategroupreq.owneruserid",): [sample.users[0]],
            ("creategroupreq.memberuserids", "kickreq.kickeduserids"): [sample.users[1]],
            ("creategroupreq.adminuserids",): [sample.users[2]],
            ("sendmsgreq.sendid",): sample.users[:2],
            ("sendmsgreq.groupid",): sample.groups[:1],
            ("recvgroupid",): ["", *sample.groups],
            ("recvuserid",): ["", *sample.users],
            ("conversationid", "conversationids"): [*sample.conversations, f"si_{new}"],
            ("groupid", "groupids"): [*sample.groups, new],
            ("recvid", "recvids"): [*sample.users, sample.groups[0]],
            ("userid", "userids", "sendid", "userid1", "userid2"): [*sample.users, new],
            ("secret",): [sample.secret],
        }
        for endings, known in by_ending.items():
            if name.endswith(endings):
                administrator = [sample.admin] if sample.admin and name.endswith(".userid") else []
                return known + administrator
        return _TEXTS.get(name.rpartition(".")[2], ["x", "", sample.users[0]])


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
    """The document without security: tokens are not generated, the caller is chosen beside the case."""
    copied = copy.deepcopy(document)
    for methods in copied["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    return copied


def _load(document: dict[str, Any]) -> BaseSchema:
    return schemathesis.openapi.from_dict(document, config=schemathesis.Config())
