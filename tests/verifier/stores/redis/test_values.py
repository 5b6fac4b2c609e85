"""Redis keys and values become columns by key pattern and codec."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from verifier.profile.relations import Column, Relation
from verifier.stores.redis.keys import KeyPattern, key_bytes, key_text
from verifier.stores.redis.values import Record, token_part

TOKEN = jwt.encode({"UserID": "u", "PlatformID": 5}, "a secret that is long enough for HS256", algorithm="HS256")


@pytest.mark.parametrize(
    ("pattern", "glob", "key", "values"),
    [
        ("im:token:{user_id}", "im:token:*", "im:token:a:b", {"user_id": "a:b"}),
        ("a:{x}:{y}", "a:*:*", "a:1:2:3", {"x": "1", "y": "2:3"}),
        ("a[{x}]", "a\\[*\\]", "a[1]", {"x": "1"}),
        ("a:{x}", "a:*", "b:1", None),
        ("fixed", "fixed", "fixed", {}),
    ],
)
def test_key_patterns(pattern: str, glob: str, key: str, values: dict[str, str] | None) -> None:
    """A pattern is a glob for SCAN and parses the keys that it finds."""
    found = KeyPattern(pattern)
    assert found.glob == glob
    assert found.parse(key) == values


def test_a_pattern_with_one_placeholder_makes_keys() -> None:
    """With two placeholders one value does not determine a key."""
    assert KeyPattern("im:token:{user_id}").key("user_id", "u") == "im:token:u"
    assert KeyPattern("a:{x}:{y}").key("x", "1") is None


def _relation(**settings: Any) -> Relation:
    base = {"role": "cache_redis", "keys": "im:token:{user_id}", "key": "user_id", "columns": {"user_id": "{user_id}"}}
    return Relation.model_validate({**base, **settings})


def _column(record: Record, name: str, kind: Any = "text") -> Any:
    return record.column(Column(column=name, type=kind))


def test_columns_of_a_json_value_with_a_token() -> None:
    """Placeholders, built-ins, fields by dotted path, and claims and header of the token at `jwt_path`."""
    value = json.dumps({"im": {"token": TOKEN}, "at": 1_772_366_400}).encode()
    relation = _relation(codec="json", jwt_path="im.token")
    record = Record({"@ttl_ms": 5}, value, {"user_id": "u"}, relation)
    assert (_column(record, "{user_id}"), _column(record, "@ttl_ms")) == ("u", 5)
    assert (_column(record, "@token"), _column(record, "im.token")) == (TOKEN, TOKEN)
    assert (_column(record, "@claim.PlatformID", "integer"), _column(record, "@header.alg")) == (5, "HS256")
    assert _column(record, "nothing.there") is None


def test_columns_of_a_hash() -> None:
    """Fields of a hash are columns, and `@value` is the whole hash."""
    record = Record({}, {b"status": b"on"}, {}, _relation(codec="hash"))
    assert (_column(record, "status"), _column(record, "@value")) == ("on", {"status": "on"})


def test_a_broken_token_has_no_claims() -> None:
    """Text that is not a JWT is not an error."""
    assert token_part("no token", "claim") == token_part(None, "header") == {}


def test_bytes_that_are_not_utf8_survive() -> None:
    """A key that was read can be asked for again."""
    assert key_bytes(key_text(b"a\xff")) == b"a\xff"
