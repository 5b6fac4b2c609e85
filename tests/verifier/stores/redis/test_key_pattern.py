"""Key patterns: from placeholders to keys and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.stores.redis.keys import KeyPattern


@given(st.text(min_size=1).filter(lambda text: "\x00" not in text))
def test_keys_are_read_back(user_id: str) -> None:
    """A key made from a pattern gives its placeholder back, for any id."""
    pattern = KeyPattern("im:token:{user_id}")
    key = pattern.key("user_id", user_id)
    assert key is not None
    assert pattern.parse(key) == {"user_id": user_id}


@pytest.mark.parametrize(
    ("pattern", "key", "placeholders"),
    [
        ("t:{user_id}:{platform}", "t:a:b:c:5", {"user_id": "a:b:c", "platform": "5"}),
        ("t:{user_id}:{platform}", "t:u1:5", {"user_id": "u1", "platform": "5"}),
        ("t:{platform}:{user_id}", "t:5:a:b", {"platform": "5", "user_id": "a:b"}),
        ("t:{user_id}:{platform}:{version}", "t:a:b:5:v1", {"user_id": "a:b", "platform": "5", "version": "v1"}),
        ("{platform_id}.{user_id}", "5.a.b", {"platform_id": "5", "user_id": "a.b"}),
        ("t:{user_id}:{device_id}", "t:a:b:c", {"user_id": "a", "device_id": "b:c"}),
    ],
)
def test_an_id_may_contain_the_separator(pattern: str, key: str, placeholders: dict[str, str]) -> None:
    """Ids come from elsewhere; the platform beside them does not contain the separator."""
    assert KeyPattern(pattern).parse(key) == placeholders


def test_other_keys_are_not_read() -> None:
    """A key with a similar prefix does not match, and glob characters of the pattern are literal."""
    pattern = KeyPattern("im:token:{user_id}")
    assert pattern.parse("im:tokens:a") is None
    assert KeyPattern("a*b:{x}").glob == r"a\*b:*"
