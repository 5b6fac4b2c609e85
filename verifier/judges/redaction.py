"""The last line of defence against a secret in a journal: what looks like one is replaced before it is written."""

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
    """The text without JWTs and without passwords in URLs."""
    # Recorders write thousands of lines a second, and nearly none looks like either.
    return hide_secrets(text) if "eyJ" in text or "://" in text else text


def redact_value(value: Any) -> Any:
    """The value without secrets, at any depth: by the name of a key, or by its look."""
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
    """Whether an OpenIM user token stands in a text: a JWT whose claims name a user and a platform.

    Other JWTs (a session of the platform's own, a signed URL) are not meant.
    """
    return any(_is_im_token(match.group()) for match in _JWT.finditer(text))


def _is_im_token(token: str) -> bool:
    payload = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(claims, dict) and {"UserID", "PlatformID"} <= claims.keys()
