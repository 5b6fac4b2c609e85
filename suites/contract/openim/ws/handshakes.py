"""Comparing the HTTP response to a handshake."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from fixtures.clients.raw_websocket import Handshake
from suites.contract.openim.ws.comparison import WsComparison
from suites.contract.openim.ws.recording import Line

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"(?im)^Sec-WebSocket-Key: *([^\r\n]+)")
_CHANGING = {"date", "content-length", "sec-websocket-accept"}
# Hop-by-hop headers of a refusal are set by the server or a proxy; clients ignore them.
_BETWEEN_HOPS = {"connection", "keep-alive"}


def judge_handshake(line: Line, answer: Handshake | None, head: bytes, comparison: WsComparison) -> Iterator[str]:
    """Each difference from the recorded response: status, headers, body, and whether Sec-WebSocket-Accept is right."""
    recorded = line.decoded
    if answer is None:
        yield "no HTTP response"
        return
    if answer.status != recorded["status"]:
        yield f"HTTP {answer.status} {answer.body[:120]!r}, recorded {recorded['status']}"
        return
    ignored = _CHANGING if answer.status == 101 else _CHANGING | _BETWEEN_HOPS
    recorded_headers, headers = (_without(headers, ignored) for headers in (recorded["headers"], answer.headers))
    yield from comparison.differences(recorded_headers, headers, "headers")
    if answer.status == 101:
        yield from _accepted(answer, head)
        return
    yield from _body(recorded, answer, comparison)


def _without(headers: dict[str, str], ignored: set[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in ignored}


def _accepted(answer: Handshake, head: bytes) -> Iterator[str]:
    found = _KEY.search(head)
    if found is None:
        return
    digest = hashlib.sha1(found[1].strip() + _GUID, usedforsecurity=False).digest()
    accept = {name.lower(): value for name, value in answer.headers.items()}.get("sec-websocket-accept")
    if accept != base64.b64encode(digest).decode():
        yield f"Sec-WebSocket-Accept is {accept!r}, which does not match the key"


def _body(recorded: dict[str, Any], answer: Handshake, comparison: WsComparison) -> Iterator[str]:
    if "body_text" in recorded:
        yield from comparison.differences(recorded["body_text"], answer.body.decode(errors="replace"), "body")
        return
    try:
        body = json.loads(answer.body)
    except ValueError:
        yield f"body {answer.body[:120]!r} is not JSON"
        return
    yield from comparison.differences(recorded["body"], body, "body")
