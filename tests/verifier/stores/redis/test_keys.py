"""Key patterns: from placeholders to keys and back, and the text form of keys."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.stores.redis.keys import KeyPattern, is_foreign, key_bytes, key_text, place_text, places_of

PRESENCE = KeyPattern("presence:{user_id}")


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
    assert KeyPattern("a{x}b*").wide_glob == r"*a*b\**"


@given(st.binary())
def test_the_text_of_a_key_leads_back_to_it(key: bytes) -> None:
    """For any bytes; and the text can be encoded, so that it can be printed and stored."""
    text = key_text(key)
    assert key_bytes(text) == key
    assert text.encode("utf-8").decode() == text
    assert "\x00" not in text


@given(st.from_regex(rb"[a-z:]{0,3}\\x[0-9a-f]{2}[a-z\\]{0,3}", fullmatch=True))
def test_a_key_that_looks_escaped_leads_back_too(key: bytes) -> None:
    """A literal backslash, x and two digits are not taken for a byte."""
    assert key_bytes(key_text(key)) == key


@given(st.binary(), st.integers(0, 15))
def test_the_name_of_a_place_leads_back_to_it(key: bytes, index: int) -> None:
    """The database index is in the name where it is not the role's own."""
    assert (index, key) in places_of(place_text(index, 0, key_text(key)), 0)


@pytest.mark.parametrize(
    ("key", "how"),
    [
        (b"presence:u1", "exact"),
        (b"\xac\xed\x00\x05t\x00\x0bpresence:u1", "serialised"),
        (b'"presence:u1"', "serialised"),
        (b'"app1:presence:u1"', "serialised"),
        (pickle.dumps("presence:u1"), "serialised"),
        (b"app1:presence:u1", "prefixed"),
        (b"{presence:u1}", "prefixed"),
        (b"\x01\xffpresence:u1", "prefixed"),
        (b"presence", "bare"),
        (b"presence:", "bare"),
        (b"typing:presence:u1", None),
        (b"xpresence:u1", None),
        (b"no_presence:u1", None),
        (b"omnipresence", None),
        (b"ONLINE:u1", None),
        (b"presences:u1", None),
    ],
)
def test_a_pattern_is_found_by_content(key: bytes, how: str | None) -> None:
    """Behind the prefix of a namespace or a serialiser, and as one key for all; not within another word."""
    match = PRESENCE.find(key)
    assert (match.how if match else None) == how
    if match and how in ("exact", "serialised", "prefixed"):
        assert match.placeholders["user_id"].startswith("u1")


@pytest.mark.parametrize(
    ("pattern", "key", "how"),
    [
        ("status:{u}", b"order:status:7", None),
        ("status:{u}", b"status", None),
        ("status:{u}", b"\xac\xed\x00\x05t\x00\x08status:7", "serialised"),
        ("user:{u}:presence", b"user", None),
        ("user:{u}:presence", b"app1:user:7:presence", "prefixed"),
        ("user:{u}:presence", b"user:7:profile", None),
    ],
)
def test_a_general_word_behind_a_namespace_says_nothing(pattern: str, key: bytes, how: str | None) -> None:
    """`order:status:7` is no presence; a serialiser's prefix changes no meaning."""
    match = KeyPattern(pattern).find(key)
    assert (match.how if match else None) == how


def test_foreign_keys() -> None:
    """By their text, and by their database index."""
    assert is_foreign(["shop:*"], 0, "shop:presence:1")
    assert is_foreign(["db5:*"], 5, "presence:1")
    assert not is_foreign(["db5:*", "shop:*"], 0, "presence:1")
