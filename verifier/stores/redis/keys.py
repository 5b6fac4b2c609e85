"""Redis keys: their text form, and patterns such as `im:token:{user_id}`.

A key is bytes. Its text form is UTF-8; other bytes, and NUL, are written `\\xNN`. A key that itself contains such four characters
has its backslash written `\\x5c`, so that the text leads back to the same key.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from verifier.stores.redis.serialised import unwrap

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_GLOB_SPECIAL = re.compile(r"([*?\[\]\\])")
_QUOTED = r"\\\1"
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
_WORD = re.compile(r"[A-Za-z0-9_-]")
_SEPARATORS = ":/.|-_ "
_OTHER_MEANINGS = frozenset("typing policy settings config lock".split())
"""Words before a pattern's text that make the key something else: `typing:presence:7` says who types, not who is there."""
_GENERIC = frozenset(
    "app cache data device devices hash id ids info key keys last map ns session sessions set state status temp tmp token tokens u uid "
    "user users v value".split()
)
"""Words that name many other things too. Behind another prefix, or as a field, such a name says nothing."""
_ELSEWHERE = re.compile(r"db(\d+):(.*)", re.DOTALL)


def key_text(raw: bytes | str) -> str:
    """The text form of a key, a field or a channel."""
    if isinstance(raw, str):
        return raw
    text = raw.decode("utf-8", "surrogateescape")
    text = _ESCAPED.sub(r"\\x5cx\1", text).replace("\x00", "\\x00")
    return re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)


def key_bytes(text: str) -> bytes:
    """Inverse of `key_text`."""
    pieces = _ESCAPED.split(text)
    literals = [piece.encode("utf-8", "surrogatepass") for piece in pieces[0::2]]
    escaped = [bytes([int(digits, 16)]) for digits in pieces[1::2]] + [b""]
    return b"".join(literal + byte for literal, byte in zip(literals, escaped, strict=True))


def place_text(index: int, home: int, key: str) -> str:
    """The name of a key in messages: with its database index where that is not the role's own."""
    return key if index == home else f"db{index}:{key}"


def places_of(text: str, home: int) -> list[tuple[int, bytes]]:
    """The places that a name of `place_text` may mean, as database index and key."""
    found = [(home, key_bytes(text))]
    if elsewhere := _ELSEWHERE.fullmatch(text):
        found.append((int(elsewhere[1]), key_bytes(elsewhere[2])))
    return found


def is_foreign(patterns: Iterable[str], index: int, key: str) -> bool:
    """Whether a key belongs to others: its text, or `dbN:` and its text, matches one of the patterns."""
    return any(
        fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(f"db{index}:{key}", pattern) for pattern in patterns
    )


@dataclass(frozen=True, slots=True)
class Match:
    """A key that has a pattern's text. `how`: "exact", "serialised" (inside a serialiser's wrapping), "prefixed" (behind a
    namespace or other bytes) or "bare" (the pattern's prefix alone, as one hash or set of all records)."""

    how: str
    placeholders: dict[str, str] = field(default_factory=dict)


def _widest(names: Sequence[str]) -> int:
    """The index of the placeholder that may contain the separator of the pattern: the only one that is named as an id, such as
    `user_id`, because ids come from elsewhere; otherwise the last one."""
    ids = [index for index, name in enumerate(names) if name.endswith("id") and "platform" not in name]
    return ids[0] if len(ids) == 1 else len(names) - 1


class KeyPattern:
    """A key pattern such as `im:token:{user_id}`: as a glob for SCAN, as a parser of keys, and as a maker of keys."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.names = _PLACEHOLDER.findall(pattern)
        pieces = _PLACEHOLDER.split(pattern)
        literals = pieces[0::2]
        self.glob = "*".join(_GLOB_SPECIAL.sub(_QUOTED, piece) for piece in literals)
        self.bare = literals[0].rstrip(_SEPARATORS + "{")
        self.word = self._own_word(literals)
        # A glob of SCAN is matched against bytes. `*` at both ends also finds keys behind the prefix of a serialiser or namespace;
        # without the separator, it also finds a single hash or set of all records.
        self._ends_open = len(self.names) == 1 and not literals[-1]
        open_end = "" if self.names and not literals[-1] else "*"
        self.wide_glob = f"*{self.glob}{open_end}" if self.bare else self.glob
        self.widest_glob = f"*{_GLOB_SPECIAL.sub(_QUOTED, self.bare)}*" if self.bare else self.glob
        body = re.escape(literals[0])
        widest = _widest(self.names)
        for index, (name, literal) in enumerate(zip(self.names, literals[1:], strict=True)):
            # One placeholder may contain the separators, so that `a:{user_id}:{platform}` has one meaning.
            separators = "".join(dict.fromkeys(literals[index][-1:] * (index > 0) + literal[:1]))
            wide = ".+" if index == widest or not separators else f"[^{re.escape(separators)}]+"
            body += f"(?P<{name}>{wide}){re.escape(literal)}"
        self._match = re.compile(body, re.DOTALL)

    @staticmethod
    def _own_word(literals: list[str]) -> str:
        """The last word of the pattern that says what its keys are; "" where it has none of its own."""
        words: list[str] = re.findall(r"[A-Za-z]{4,}", " ".join(literals))
        return next((word for word in reversed(words) if word.lower() not in _GENERIC), "")

    def parse(self, key: str) -> dict[str, str] | None:
        """The values of the placeholders, or None for a key that does not match."""
        found = self._match.fullmatch(key)
        return found.groupdict() if found else None

    def key(self, name: str, value: str) -> str | None:
        """The key for a value, or None unless `name` is the only placeholder."""
        return self.pattern.replace(f"{{{name}}}", value) if self.names == [name] else None

    def find(self, raw: bytes) -> Match | None:
        """How a key has the pattern's text, at its beginning or behind other bytes; None where it does not."""
        text = key_text(raw)
        if (placeholders := self.parse(text)) is not None:
            return Match("exact", placeholders)
        if not self.bare:
            return None  # a pattern that begins with a placeholder would be found in every key
        inner = unwrap(raw)
        if inner is not None and (match := self._inside(key_text(inner))) is not None:
            return Match("serialised", match.placeholders)
        return self._inside(text)

    def _inside(self, text: str) -> Match | None:
        if (placeholders := self.parse(text)) is not None:
            return Match("exact", placeholders)
        if self._ends_open and self.word and text.strip(_SEPARATORS + "{}") == self.bare:
            return Match("bare", dict.fromkeys(self.names, text))
        for found in self._match.finditer(text):
            before = text[: found.start()]
            if _OTHER_MEANINGS & set(re.findall(r"[a-z]+", before.lower())):
                continue
            bytes_before = _ESCAPED.search(before[-4:]) is not None or not before[-1:].isprintable()
            if bytes_before or (self.word and not _WORD.match(before[-1:])):
                return Match("prefixed", found.groupdict())
        return None
