"""The OpenAPI description: requests from the dataclasses of the double, answers from recordings, rights from a table."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from fixtures.openim.api import Route
from fixtures.openim.routes import ROUTES
from suites.contract.openim.document.answers import NO_BODY, RecordedAnswers, RouteAnswers, recorded
from suites.contract.openim.document.requests import Requests
from suites.contract.openim.document.schemas import render
from suites.contract.openim.rest import recording as rest_recording

# The errCodes of all routes, and of all routes that need a token. _DESCRIPTION says when they occur.
_HEADERS: Final = (1001,)
_TOKENS: Final = (1501, 1503, 1504, 1505, 1506, 1507)
_LEVELS: Final[Mapping[str, tuple[str, Mapping[int, str]]]] = {
    "none": ("no token", {}),
    "any": ("any valid token", {}),
    "admin": ("administrators", {1002: "the caller is not an administrator"}),
    "self": ("the user concerned, or an administrator", {1002: "the caller is another user"}),
    "member": ("members of the group, or an administrator", {1002: "the caller is not a member"}),
    "group": (
        "by role in the group, or an administrator",
        {1002: "the caller's role does not allow it", 1004: "unknown group or member", 1204: "dismissed group"},
    ),
}
_DESCRIPTION = """\
The REST routes of an OpenIM server, as it was recorded.

Provenance: open-im-server at commit 7848d7c (version 3.8, standalone mode, webhooks off), recorded on 2026-11-23.
Answers are derived from the recordings: types, keys, null, errCodes and HTTP statuses are the observed ones. Requests are
generated from the declarations of the OpenIM double, which answers the recorded requests as the server did.

For all routes:

- POST with a JSON body. The header `operationID` is required, and the header `token` unless a route says otherwise.
- Refusals have HTTP status 200 and an errCode other than 0. Some routes parse their body themselves and refuse an invalid
  one with 400. A handler that fails gives 500 without a body.
- A missing header and an invalid body are refused with 1001. A token is refused with 1501 if it has expired, 1503 if it is
  malformed, 1504 if it is not valid yet, 1505 if its signature or claims are wrong, 1506 if it was kicked, 1507 if it was
  never issued or the server has no state of it.
- `data` is absent in refusals and in answers without fields. Zero values are written out; an empty list is null.
- In requests, names are matched without regard to case, unknown names are ignored, and null leaves a field unchanged.
- Other methods on these paths, and unknown paths, give 404 without a body; a trailing slash 307; OPTIONS 200.

Left out are the protobuf bodies of the JSON SDK on /jssdk, and the routes of uploads and configuration that were not recorded.
"""
_CONTENT: Final = "application/json"
_DONE: Final = 0


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The entry of a route in `routes.toml`."""

    summary: str
    level: str
    owner: str = ""
    reads: bool = False
    also: Mapping[str, str] = field(default_factory=dict)


@cache
def _cases() -> list[rest_recording.Case]:
    return rest_recording.load()


def rights() -> dict[str, Rights]:
    """Path -> who may call it, and its summary."""
    table = tomllib.loads(Path(__file__).with_name("routes.toml").read_text(encoding="utf-8"))
    return {path: Rights(**entry) for path, entry in table.items()}


@cache
def text() -> str:
    """The document as the text of its file."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


def build() -> dict[str, Any]:
    """The document as an object."""
    seen, requests = recorded(), Requests()
    paths = {
        path: {"post": _operation(ROUTES[path], one, seen.routes[path], requests)} for path, one in rights().items()
    }
    for path, methods in _transport().items():
        paths[path] = {**paths.get(path, {}), **methods}
    records = {name: render(shape, name, whole=True) for name, shape in seen.records.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "OpenIM REST, as recorded", "version": "3.8-7848d7c", "description": _DESCRIPTION},
        "tags": [{"name": area} for area in dict.fromkeys(_area(path) for path in rights())]
        + [{"name": "transport", "description": "The answers to unknown routes and methods."}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "token"}},
            "parameters": {
                "operationID": {
                    "name": "operationID",
                    "in": "header",
                    "required": True,
                    "description": "Names the request in the server's logs; any non-empty text.",
                    "schema": {"type": "string", "minLength": 1},
                }
            },
            "schemas": {"Refusal": _refusal(seen), **records, **dict(sorted(requests.schemas.items()))},
        },
    }


def _operation(route: Route, right: Rights, seen: RouteAnswers, requests: Requests) -> dict[str, Any]:
    particular = {**_LEVELS[right.level][1], **{int(code): when for code, when in right.also.items()}}
    everywhere = (*_HEADERS, *(() if right.level == "none" else _TOKENS))
    codes = sorted({*seen.codes.get(200, ()), *particular, *everywhere} - {_DONE})
    operation: dict[str, Any] = {
        "operationId": route.path.strip("/").replace("/", "_"),
        "tags": [_area(route.path)],
        "summary": right.summary,
        "description": f"For {_LEVELS[right.level][0]}."
        + "".join(f"\n- {code}: {when}" for code, when in sorted(particular.items())),
        "x-authorisation": right.level,
        "x-recorded": _counts(seen),
        "x-reads": right.reads,
        "parameters": [{"$ref": "#/components/parameters/operationID"}, *_query(route.path)],
        "requestBody": {"required": True, "content": {_CONTENT: {"schema": requests.schema(route.request)}}},
        "responses": _responses(route, seen, codes),
    }
    if right.owner:
        operation["x-owner"] = right.owner
    operation["security"] = [] if right.level == "none" else [{"token": []}]
    return operation


def _counts(seen: RouteAnswers) -> dict[str, dict[str, int]]:
    """HTTP status -> errCode -> number of recorded answers."""
    return {
        str(status): {"no body" if code == NO_BODY else str(code): times for code, times in sorted(codes.items())}
        for status, codes in sorted(seen.codes.items())
    }


def _responses(route: Route, seen: RouteAnswers, codes: Iterable[int]) -> dict[str, Any]:
    responses = {
        "200": _json("Accepted, or refused with an errCode.", {"oneOf": [_success(route, seen), _only(codes)]})
    }
    if route.hand_bound:
        by_hand = seen.codes.get(400, [1001])
        responses["400"] = _json("The body is invalid.", _only(by_hand))
    if 500 in seen.codes:
        responses["500"] = {"description": "The handler failed; no body."}
    return responses


def _success(route: Route, seen: RouteAnswers) -> dict[str, Any]:
    never = not seen.with_data and not seen.without_data
    data = True if never else render(seen.data, f"{route.path} data")
    has_data = never or seen.with_data
    return {
        "type": "object",
        "properties": {
            "errCode": {"const": 0},
            "errMsg": {"const": ""},
            "errDlt": {"const": ""},
            **({"data": data} if has_data else {}),
        },
        "required": ["errCode", "errMsg", "errDlt", *(["data"] if seen.with_data and not seen.without_data else [])],
        "additionalProperties": False,
    }


def _only(codes: Iterable[int]) -> dict[str, Any]:
    listed = {"properties": {"errCode": {"enum": sorted(codes)}}}
    return {"allOf": [{"$ref": "#/components/schemas/Refusal"}, listed]}


def _refusal(seen: RecordedAnswers) -> dict[str, Any]:
    """The envelope of refusals. An errCode that was always recorded with one errMsg must have it."""
    fixed = {code: next(iter(texts)) for code, texts in seen.messages.items() if len(texts) == 1}
    return {
        "type": "object",
        "properties": {
            "errCode": {"type": "integer", "minimum": 1},
            "errMsg": {"type": "string", "minLength": 1},
            "errDlt": {"type": "string"},
        },
        "required": ["errCode", "errMsg", "errDlt"],
        "additionalProperties": False,
        "allOf": [
            {
                "if": {"properties": {"errCode": {"const": code}}},
                "then": {"properties": {"errMsg": {"const": name}}},
            }
            for code, name in fixed.items()
        ],
    }


def _json(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {_CONTENT: {"schema": schema}}}


def _area(path: str) -> str:
    return path.split("/")[1]


def _query(path: str) -> list[dict[str, Any]]:
    """The query parameters with which a route was recorded."""
    queries = (case.path.partition("?") for case in _cases())
    names = {name for one, _, query in queries if one == path for name, _ in parse_qsl(query, keep_blank_values=True)}
    return [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in sorted(names)]


def _transport() -> dict[str, dict[str, Any]]:
    """Path -> method -> operation, of recorded requests to unknown paths and with other methods than POST."""
    found: dict[str, dict[str, Any]] = {}
    for case in _cases():
        path, method = case.path.partition("?")[0], case.method.lower()
        if path in ROUTES and method == "post":
            continue
        operation = found.setdefault(path, {}).setdefault(
            method,
            {
                "operationId": f"{method}_{path.strip('/').replace('/', '_') or 'root'}"
                + ("_" if path[1:].endswith("/") else ""),
                "tags": ["transport"],
                "responses": {},
            },
        )
        operation["responses"].setdefault(str(case.status), _plain(case.status, case.response))
    return found


def _plain(status: int, answer: Any) -> dict[str, Any]:
    if answer == "":
        return {
            "description": {307: "Redirected to the path without the trailing slash."}.get(status, "No such route.")
        }
    if isinstance(answer, str):
        return _json("The answer to a preflight request.", {"const": answer})
    return _json("Refused.", _only([answer["errCode"]]))
