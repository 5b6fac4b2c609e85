"""Tokens that no server issued, as the recorded cases use them, and removing tokens from texts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from typing import Any

_LIFETIME_S = 86_400
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


def hide_tokens(text: str) -> str:
    """A text with `<token>` in place of each JWT."""
    return _JWT.sub("<token>", text)


def forged_tokens(prefix: str, secret: str, admin: str, now_s: float) -> Iterator[tuple[str, str]]:
    """(name, token) of each symbol `<jwt:name>`. Each is signed with `secret` unless its name says otherwise."""
    now = int(now_s)
    current = {"exp": now + _LIFETIME_S, "iat": now - 5}
    expired = {"exp": now - 100, "iat": now - 200}
    user = {"UserID": f"{prefix}au1", "PlatformID": 2}
    yield "expired", sign({**user, **expired}, secret)
    yield "bad-signature", sign({**user, **current}, secret + "x")
    yield "expired-bad-signature", sign({**user, **expired}, secret + "x")
    yield "never-issued", sign({**user, **current}, secret)
    yield "never-issued-au5", sign({"UserID": f"{prefix}au5", "PlatformID": 2, **current}, secret)
    yield "nbf-future", sign({**user, **current, "nbf": now + 3600}, secret)
    yield "iat-future", sign({**user, **current, "iat": now + 3600}, secret)
    yield "alg-none", sign({**user, **current}, None)
    yield "admin-never-issued", sign({"UserID": admin, "PlatformID": 10, **current}, secret)


def sign(claims: dict[str, Any], secret: str | None) -> str:
    """A JWT with these claims, signed with HS256; for None an unsigned one with `alg` none."""
    header = {"alg": "none" if secret is None else "HS256", "typ": "JWT"}
    text = f"{_part(header)}.{_part(claims)}"
    signature = b"" if secret is None else hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
