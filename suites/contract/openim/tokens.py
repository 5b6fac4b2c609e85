"""The hand-made tokens of the recordings."""

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


def hidden(text: str) -> str:
    """A text without the tokens in it."""
    return _JWT.sub("<token>", text)


def forged(prefix: str, secret: str, admin: str, now_s: float) -> Iterator[tuple[str, str]]:
    """(name, token) of each `<jwt:name>`: rightly signed unless the name says otherwise, none ever issued."""
    now = int(now_s)
    alive = {"exp": now + _LIFETIME_S, "iat": now - 5}
    dead = {"exp": now - 100, "iat": now - 200}
    user = {"UserID": f"{prefix}au1", "PlatformID": 2}
    yield "expired", signed({**user, **dead}, secret)
    yield "bad-signature", signed({**user, **alive}, secret + "x")
    yield "expired-bad-signature", signed({**user, **dead}, secret + "x")
    yield "never-issued", signed({**user, **alive}, secret)
    yield "never-issued-au5", signed({"UserID": f"{prefix}au5", "PlatformID": 2, **alive}, secret)
    yield "nbf-future", signed({**user, **alive, "nbf": now + 3600}, secret)
    yield "iat-future", signed({**user, **alive, "iat": now + 3600}, secret)
    yield "alg-none", signed({**user, **alive}, None)
    yield "admin-never-issued", signed({"UserID": admin, "PlatformID": 10, **alive}, secret)


def signed(claims: dict[str, Any], secret: str | None) -> str:
    """A JWT with these claims; without a secret, one that claims to need no signature."""
    header = {"alg": "none" if secret is None else "HS256", "typ": "JWT"}
    text = f"{_part(header)}.{_part(claims)}"
    signature = b"" if secret is None else hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
