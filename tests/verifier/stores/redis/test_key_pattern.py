"""Key patterns: from placeholders to keys and back."""

from __future__ import annotations

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


def test_other_keys_are_not_read() -> None:
    """A key with a similar prefix does not match, and glob characters of the pattern are literal."""
    pattern = KeyPattern("im:token:{user_id}")
    assert pattern.parse("im:tokens:a") is None
    assert KeyPattern("a*b:{x}").glob == r"a\*b:*"
