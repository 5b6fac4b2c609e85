"""Replaces secrets in operations before they are written to a journal."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from verifier.model.redact import HIDDEN, hide_secrets

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}")
_SECRET_KEYS = frozenset(
    "token imtoken im_token admin_token access_token refresh_token secret session_secret password authorization cookie".split()
)


def redact_text(text: str) -> str:
    """Return the text without JWTs and without passwords in URLs."""
    # Recorders write thousands of lines per second, and almost none contains either.
    return hide_secrets(text) if "eyJ" in text or "://" in text else text


def redact_value(value: Any) -> Any:
    """Return the value without secrets at any depth, recognised by the name of a key or by their form."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {
            redact_text(str(key)): HIDDEN if str(key).lower() in _SECRET_KEYS and item else redact_value(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_value(item) for item in value]
    return value


def holds_im_token(text: str) -> bool:
    """Whether a text contains an OpenIM user token: a JWT whose claims name a user and a platform [F20].

    Other JWTs, such as a session of the platform or a signed URL, do not count.
    """
    return any(_is_im_token(match.group()) for match in _JWT.finditer(text))


def _is_im_token(token: str) -> bool:
    payload = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(claims, dict) and {"UserID", "PlatformID"} <= claims.keys()
