"""Decodes the payload of an AMQP message, as far as its text and its headers show how."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from verifier.judges.push_content import document_in
from verifier.stores.http import ENCODINGS, MIB, Inflater

BODY_BYTES_MAX = MIB
"""Longer bodies are not decoded, neither compressed nor afterwards."""
SHOWN_BYTES = 64 * 1024
_WBITS = {**ENCODINGS, "zlib": zlib.MAX_WBITS}
_GZIP = b"\x1f\x8b\x08"


@dataclass(frozen=True, slots=True)
class Payload:
    """A decoded body: JSON, or the fields of a form. Where it could not be decoded, `unread` says why, and `body` is the
    beginning as text."""

    body: Any
    unread: str = ""


def decode(raw: bytes, *, encoding: str | None = None, content_type: str | None = None) -> Payload:
    """Decode a body. `encoding` and `content_type` are the properties of the message."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if len(raw) > BODY_BYTES_MAX:
        return _unread(raw, "longer than 1 MiB")
    named = (encoding or "").strip().lower()
    wbits = _WBITS.get(named, _WBITS["gzip"] if raw.startswith(_GZIP) else None)
    if wbits is not None:
        try:
            inflater = Inflater(wbits, BODY_BYTES_MAX)
            raw = inflater.feed(raw)
        except zlib.error:
            return _unread(raw, f"not what its encoding {named} says")
        if len(raw) > BODY_BYTES_MAX or not inflater.whole:
            return _unread(raw, "longer than 1 MiB, or cut off")
    try:
        body = json.loads(raw)
        inner = document_in(body) if isinstance(body, str) else None  # JSON that was encoded twice
        return Payload(body if inner is None else inner)
    except (ValueError, RecursionError):
        pass
    if kind == "application/x-www-form-urlencoded":
        return Payload(dict(parse_qsl(raw.decode(errors="backslashreplace"))))
    return _unread(raw, f"{kind[:60]}, not JSON" if kind and "json" not in kind else "not JSON")


def _unread(raw: bytes, why: str) -> Payload:
    return Payload(raw[:SHOWN_BYTES].decode("utf-8", errors="backslashreplace"), why)


def plain_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers with texts instead of bytes. Those that the broker itself adds (`x-death`, …) are left out."""
    return {
        name: _plain(value)
        for name, value in headers.items()
        if not name.startswith(("x-death", "x-first-", "x-last-"))
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
