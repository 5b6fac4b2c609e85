"""Conversion from Redis keys and values to columns: key patterns, codecs, the claims of a JWT.

A column is a `{placeholder}` of the pattern, a field of the decoded value (dotted path), or one of the built-ins
`@key @ttl_ms @idle_s @type @value @token @claim.NAME @header.NAME`. `ttl_ms` is None for a key without expiry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jwt

from verifier.profile.relations import Column, Relation
from verifier.stores.convert import to_logical

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_GLOB_SPECIAL = re.compile(r"([*?\[\]\\])")


class KeyPattern:
    """A key pattern such as `im:token:{user_id}`: as a glob for SCAN, as a parser of keys, and as a maker of keys."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.names = _PLACEHOLDER.findall(pattern)
        pieces = _PLACEHOLDER.split(pattern)
        literals = pieces[0::2]
        self.glob = "*".join(_GLOB_SPECIAL.sub(r"\\\1", piece) for piece in literals)
        body = re.escape(literals[0])
        for index, (name, literal) in enumerate(zip(self.names, literals[1:], strict=True)):
            # All but the last placeholder end at the separator that follows, so that `a:{x}:{y}` has one meaning.
            wide = ".+" if index == len(self.names) - 1 or not literal else f"[^{re.escape(literal[0])}]+"
            body += f"(?P<{name}>{wide}){re.escape(literal)}"
        self._match = re.compile(body, re.DOTALL)

    def parse(self, key: str) -> dict[str, str] | None:
        """The values of the placeholders, or None for a key that does not match."""
        found = self._match.fullmatch(key)
        return found.groupdict() if found else None

    def key(self, name: str, value: str) -> str | None:
        """The key for a value, or None unless `name` is the only placeholder."""
        return self.pattern.replace(f"{{{name}}}", value) if self.names == [name] else None


class Record:
    """One key with its decoded value."""

    def __init__(
        self, built_in: Mapping[str, Any], value: Any, placeholders: Mapping[str, str], relation: Relation
    ) -> None:
        self.built_in = built_in
        self.placeholders = placeholders
        self.raw = {decode(k): decode(v) for k, v in value.items()} if isinstance(value, dict) else value
        self.text = None if value is None or isinstance(value, dict) else decode(value)
        self.fields = self._decode_fields(relation)
        self.token = self._token(relation)

    def _decode_fields(self, relation: Relation) -> Mapping[str, Any]:
        if isinstance(self.raw, dict):
            return self.raw
        if relation.codec != "json" or self.text is None:
            return {}
        try:
            decoded = json.loads(self.text)
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}

    def _token(self, relation: Relation) -> str | None:
        if relation.codec == "json" and relation.jwt_path:
            found = _dig(self.fields, relation.jwt_path)
            return found if isinstance(found, str) else None
        return self.text

    def column(self, column: Column) -> Any:
        """The value of one column."""
        where = column.column
        if where.startswith("{"):
            return self.placeholders.get(where[1:-1])
        if where in self.built_in:
            return self.built_in[where]
        if where == "@value":
            return self.text if self.text is not None else self.raw
        if where == "@token":
            return self.token
        if where.startswith(("@claim.", "@header.")):
            part, _, name = where[1:].partition(".")
            return to_logical(column, token_part(self.token, part).get(name))
        return to_logical(column, _dig(self.fields, where))


def token_part(token: str | None, part: str) -> Mapping[str, Any]:
    """The claims (`claim`) or the header (`header`) of a JWT, read without the secret [F20]; empty where it is not a JWT."""
    try:
        if part == "header":
            return jwt.get_unverified_header(token or "")
        return jwt.decode(token or "", options={"verify_signature": False, "verify_exp": False, "verify_iat": False})
    except (jwt.InvalidTokenError, ValueError):
        return {}


def _dig(fields: Mapping[str, Any], path: str) -> Any:
    found: Any = fields
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def decode(value: Any) -> str:
    """Bytes as text; bytes that are not UTF-8 survive the way back to a key."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
