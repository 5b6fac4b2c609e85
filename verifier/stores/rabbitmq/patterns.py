"""Topic patterns: which routing keys they match, and how two patterns relate.

A pattern is a list of words between dots. `*` stands for one word and `#` for any number of words, none included
(https://www.rabbitmq.com/docs/exchanges, "Topic exchanges").
"""

from __future__ import annotations

from collections.abc import Iterator

ONE, ANY = "*", "#"
_NEW_WORD = object()
"""Stands for every word that neither pattern contains."""

Words = tuple[str, ...]


def words(pattern: str) -> Words:
    """The words of a pattern or of a routing key. The empty key has none."""
    return tuple(pattern.split(".")) if pattern else ()


def is_pattern(key: str) -> bool:
    """Whether a key has wildcards."""
    return any(word in (ONE, ANY) for word in words(key))


def covers(pattern: str, other: str) -> bool:
    """Whether `pattern` matches every key that `other` matches. A key without wildcards matches itself alone."""
    return all(_accepts(words(pattern), places) for theirs, places in _walk(words(other), words(pattern)) if theirs)


def overlaps(pattern: str, other: str) -> bool:
    """Whether some key is matched by both."""
    return any(_accepts(words(pattern), places) for theirs, places in _walk(words(other), words(pattern)) if theirs)


def _walk(one: Words, two: Words) -> Iterator[tuple[bool, frozenset[int]]]:
    """Read all keys word by word. For each state: whether `one` accepts the key so far, and the places in `two`."""
    alphabet = ({*one, *two} - {ONE, ANY}) | {_NEW_WORD}
    start = (_closed(one, {0}), _closed(two, {0}))
    seen, waiting = {start}, [start]
    while waiting:
        here, there = waiting.pop()
        yield _accepts(one, here), there
        for word in alphabet:
            following = (_step(one, here, word), _step(two, there, word))
            if following[0] and following not in seen:
                seen.add(following)
                waiting.append(following)


def _accepts(pattern: Words, places: frozenset[int]) -> bool:
    return len(pattern) in places


def _closed(pattern: Words, places: set[int]) -> frozenset[int]:
    """The places with those behind each `#`, which may match no word."""
    found = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == ANY:
            place += 1
            found.add(place)
    return frozenset(found)


def _step(pattern: Words, places: frozenset[int], word: object) -> frozenset[int]:
    """The places after one more word."""
    found = set()
    for place in places:
        if place == len(pattern):
            continue
        if pattern[place] == ANY:
            found.add(place)
        elif pattern[place] in (ONE, word):
            found.add(place + 1)
    return _closed(pattern, found)
