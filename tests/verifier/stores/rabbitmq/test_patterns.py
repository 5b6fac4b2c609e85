"""Topic patterns: matching, cover and overlap."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.stores.rabbitmq.patterns import covers, is_pattern, overlaps


@pytest.mark.parametrize(
    ("pattern", "key", "matched"),
    [
        ("chat.message.notify", "chat.message.notify", True),
        ("chat.#", "chat.message.notify", True),
        ("chat.#", "chat", True),
        ("#", "", True),
        ("#", "a.b", True),
        ("*", "", False),
        ("chat.*", "chat.message.notify", False),
        ("chat.*.notify", "chat.message.notify", True),
        ("#.notify", "chat.message.notify", True),
        ("#.message.#", "chat.message.notify", True),
        ("#.#", "a", True),
        ("chat.message.notify.#", "chat.message.notify", True),
        ("chat.message.notify.*", "chat.message.notify", False),
        ("metrics", "chat.message.notify", False),
        ("chat", "chats", False),
        ("", "", True),
        ("", "a", False),
        ("*.*", "a.", True),
    ],
)
def test_a_key_is_matched(pattern: str, key: str, matched: bool) -> None:
    """Against a key without wildcards, cover and overlap are both the match."""
    assert (covers(pattern, key), overlaps(pattern, key)) == (matched, matched)


@pytest.mark.parametrize(
    ("pattern", "other", "covered", "overlapping"),
    [
        ("chat.#", "chat.*", True, True),
        ("chat.*", "chat.#", False, True),
        ("chat.metrics", "chat.#", False, True),
        ("chat.*.x", "chat.y.*", False, True),
        ("a.#", "b.#", False, False),
        ("#", "#", True, True),
        ("#.b", "a.#", False, True),
        ("*.#", "#", False, True),
        ("#.*", "*.#", True, True),
    ],
)
def test_two_patterns(pattern: str, other: str, covered: bool, overlapping: bool) -> None:
    """Cover means every key of the other; overlap means some."""
    assert (covers(pattern, other), overlaps(pattern, other)) == (covered, overlapping)


_words = st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=5).map(".".join)
_keys = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(".".join)


def _regex(pattern: str) -> re.Pattern[str]:
    """The textbook translation: each word with the dot behind it."""
    parts = {"*": r"[^.]+\.", "#": r"(?:[^.]+\.)*"}
    return re.compile("".join(parts.get(word, re.escape(word) + r"\.") for word in pattern.split(".")))


@given(_words, _keys)
def test_matches_are_those_of_the_regular_expression(pattern: str, key: str) -> None:
    """An independent translation agrees."""
    assert covers(pattern, key) == bool(_regex(pattern).fullmatch(f"{key}."))


@given(_words, _words, _keys)
def test_cover_and_overlap_agree_with_every_key(pattern: str, other: str, key: str) -> None:
    """A key of the other is a key of a covering pattern; a common key is an overlap, in both directions."""
    mine, theirs = covers(pattern, key), covers(other, key)
    assert not (covers(pattern, other) and theirs and not mine)
    assert overlaps(pattern, other) == overlaps(other, pattern)
    assert not (mine and theirs and not overlaps(pattern, other))


def test_wildcards_are_whole_words() -> None:
    """`a*` is a word like any other."""
    assert [is_pattern(key) for key in ("a.*.b", "#", "a*.b#", "")] == [True, True, False, False]
