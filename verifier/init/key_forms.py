"""Redis keys summarised as forms such as `im:token:*`, without the ids of users, sessions and nonces."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

SIBLINGS_MAX = 12
"""More different words than this in one place are values, not names."""

_SEPARATOR = re.compile(r"[:/|]")
# A word that may be a name: letters and a few joining characters, and short. Anything else may be an id or a secret.
_NAME = re.compile(r"(?:[A-Za-z][A-Za-z_.-]{0,23})?\Z")


def key_forms(keys: Sequence[str]) -> list[tuple[str, int]]:
    """The forms of some keys and how many keys have each, the most frequent first."""
    split = [(_SEPARATOR.split(key), _SEPARATOR.findall(key)) for key in keys]
    words = [tuple(parts) for parts, _ in split]
    shown: dict[tuple[str, ...], str] = {}
    for depth in range(max((len(item) for item in words), default=0)):
        siblings: dict[tuple[str, ...], set[str]] = {}
        for item in words:
            if depth < len(item):
                siblings.setdefault(_masked(item[:depth], shown), set()).add(item[depth])
        for prefix, found in siblings.items():
            for word in found:
                shown[(*prefix, word)] = word if len(found) <= SIBLINGS_MAX and _NAME.match(word) else "*"
    forms = Counter(_joined(_masked(tuple(parts), shown), separators) for parts, separators in split)
    return forms.most_common()


def _masked(item: tuple[str, ...], shown: dict[tuple[str, ...], str]) -> tuple[str, ...]:
    masked: tuple[str, ...] = ()
    for word in item:
        masked = (*masked, shown[(*masked, word)])
    return masked


def _joined(words: Sequence[str], separators: Sequence[str]) -> str:
    return "".join(word + separator for word, separator in zip(words, [*separators, ""], strict=True))
