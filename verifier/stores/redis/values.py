"""Conversion from Redis values to columns: codecs, the claims of a JWT, and which records belong to a relation.

A column is a `{placeholder}` of the pattern, a field of the decoded value (dotted path), or one of the built-ins
`@key @ttl_ms @idle_s @type @value @token @claim.NAME @header.NAME`. `ttl_ms` is None for a key without expiry.

A value that is not text, or of a type that its codec does not fit, is unreadable. It is not a missing value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jwt

from verifier.profile.relations import Column, Relation
from verifier.stores.convert import to_logical
from verifier.stores.errors import StoreError
from verifier.stores.redis.keys import key_text
from verifier.stores.redis.serialised import read_text

_EQUALITY = re.compile(r"\s*([\w.@{}]+)\s*(?:=|==)\s*(?:'([^']*)'|(\w+))\s*")
_ONE_OF = re.compile(r"\s*([\w.@{}]+)\s+IN\s*\(\s*('[^']*'(?:\s*,\s*'[^']*')*)\s*\)\s*", re.IGNORECASE)
_JWT = re.compile(r"[\w-]{4,}\.[\w-]{4,}\.[\w-]*")
BUILT_IN = ("{", "@key", "@ttl", "@type", "@idle")
"""How the columns begin for which no value is read."""


def conditions(relation: Relation, label: str) -> dict[str, frozenset[str]]:
    """`where` of a Redis relation as field and allowed values: a table, or the text `field = 'value'` or
    `field IN ('a', 'b')`."""
    where = relation.where
    if not where:
        return {}
    if isinstance(where, str):
        if (equal := _EQUALITY.fullmatch(where)) is not None:
            return {equal[1]: frozenset({equal[2] if equal[2] is not None else equal[3]})}
        if (one_of := _ONE_OF.fullmatch(where)) is not None:
            return {one_of[1]: frozenset(re.findall(r"'([^']*)'", one_of[2]))}
        raise StoreError(f'{label}: where = {where!r} cannot be used on Redis. Write where = {{ field = "value" }}.')
    return {
        name: frozenset(_plain(item) for item in (value if isinstance(value, list | tuple) else (value,)))
        for name, value in where.items()
    }


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Record:
    """One key with its decoded value: `text`, or `raw` for a hash; neither for a value that cannot be read as text."""

    def __init__(
        self, built_in: Mapping[str, Any], value: Any, placeholders: Mapping[str, str], relation: Relation
    ) -> None:
        self.built_in = built_in
        self.placeholders = placeholders
        self.raw: Any = None
        self.text: str | None = None
        if isinstance(value, dict):
            self.raw = {key_text(name): _lenient(item) for name, item in value.items()}
        elif value is not None:
            self.text = read_text(value) if isinstance(value, bytes) else str(value)
        self._codec = relation.codec
        self._broken = False
        self.fields = self._decode_fields(relation)
        self.token = self._token(relation)

    def unreadable_for(self, columns: Iterable[str]) -> str:
        """Why one of these columns cannot be known from the value, or "" if all can."""
        for column in columns:
            if column.startswith(BUILT_IN):
                continue
            whole = column == "@value" or column.startswith(("@token", "@claim.", "@header."))
            if self.raw is not None:
                if whole and not (self._codec == "hash" and column == "@value"):
                    return "a hash instead of text"
            elif self.text is None:
                return "a value that is not text"
            elif self._broken and not whole:
                return "text instead of fields"
            elif self._broken and column != "@value" and self.token is None:
                return "text that is not the declared JSON"
        return ""

    def _decode_fields(self, relation: Relation) -> Mapping[str, Any]:
        if isinstance(self.raw, dict):
            return self.raw
        if self.text is None:
            return {}
        self._broken = True
        if relation.codec != "json":
            return {}
        try:
            decoded = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        self._broken = not isinstance(decoded, dict)
        return decoded if isinstance(decoded, dict) else {}

    def _token(self, relation: Relation) -> str | None:
        if relation.codec == "json" and relation.jwt_path:
            found = _dig(self.fields, relation.jwt_path)
            if found is None and self._broken and _JWT.fullmatch(self.text or ""):
                return self.text
            return found if isinstance(found, str) else None
        return self.text

    def meets(self, wanted: Mapping[str, frozenset[str]]) -> bool:
        """Whether the fields have the values that make a record belong to the relation."""
        for name, values in wanted.items():
            found = self.column(Column(column=name))
            if found is None or not ({str(found), _plain(found)} & values):
                return False
        return True

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


def _lenient(value: Any) -> str:
    """A field of a hash as text; its bytes are escaped where it is not."""
    if not isinstance(value, bytes):
        return str(value)
    text = read_text(value)
    return key_text(value) if text is None else text
