"""Comparing the HTTP answer to a handshake."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from suites.contract.openim.ws.client import Handshake
from suites.contract.openim.ws.recording import Line
from suites.contract.openim.ws.unify import Unifier

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"(?im)^Sec-WebSocket-Key: *([^\r\n]+)")
_OF_THE_MOMENT = {"date", "content-length", "sec-websocket-accept"}
# Whether the HTTP connection of a refusal may be used again is between a server and the next hop; no client looks.
_BETWEEN_HOPS = {"connection", "keep-alive"}


def judge_handshake(line: Line, answer: Handshake | None, head: bytes, unifier: Unifier) -> Iterator[str]:
    """How an answer differs from the recorded one: status, headers, body, and whether the key was answered rightly."""
    recorded = line.decoded
    if answer is None:
        yield "no HTTP answer"
        return
    if answer.status != recorded["status"]:
        yield f"HTTP {answer.status} {answer.body[:120]!r}, recorded {recorded['status']}"
        return
    ignored = _OF_THE_MOMENT if answer.status == 101 else _OF_THE_MOMENT | _BETWEEN_HOPS
    lasting, shown = (_without(headers, ignored) for headers in (recorded["headers"], answer.headers))
    yield from unifier.differences("headers", lasting, shown)
    if answer.status == 101:
        yield from _accepted(answer, head)
        return
    yield from _body(recorded, answer, unifier)


def _without(headers: dict[str, str], ignored: set[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in ignored}


def _accepted(answer: Handshake, head: bytes) -> Iterator[str]:
    found = _KEY.search(head)
    if found is None:
        return
    digest = hashlib.sha1(found[1].strip() + _GUID, usedforsecurity=False).digest()
    accept = {name.lower(): value for name, value in answer.headers.items()}.get("sec-websocket-accept")
    if accept != base64.b64encode(digest).decode():
        yield f"Sec-WebSocket-Accept is {accept!r}, which does not answer the key"


def _body(recorded: dict[str, Any], answer: Handshake, unifier: Unifier) -> Iterator[str]:
    if "body_text" in recorded:
        yield from unifier.differences("body", recorded["body_text"], answer.body.decode(errors="replace"))
        return
    try:
        body = json.loads(answer.body)
    except ValueError:
        yield f"body {answer.body[:120]!r} is no JSON"
        return
    yield from unifier.differences("body", recorded["body"], body)
