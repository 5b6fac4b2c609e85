"""What a push carries: the fields in it, at any depth, and which of them say that it is about a chat message.

A push is a document of nested objects and lists. A text in it may hold another document: JSON, JSON in base64, or the query of a
link into the app. Names of fields are compared without regard to case and separators: `conversationId` is `conversation_id`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Path = tuple[str, ...]
DEPTH_MAX = 40
FIELDS_MAX = 5_000
TEXT_MAX = 256 * 1024
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_MAIL_ID = re.compile(r"<[^<>\s]+@[^<>\s]+>")


def plain(name: str) -> str:
    """A name without case and separators."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


@dataclass(frozen=True, slots=True)
class Fields:
    """The paths of a push's fields. `whole` is False where the push is deeper or longer than what is read."""

    paths: tuple[Path, ...]
    whole: bool


def fields_of(push: Any) -> Fields:
    """All fields with a value, without their places in lists. Empty values and ids of mails (`<id@host>`) carry nothing of a
    chat and are left out."""
    found: dict[Path, None] = {}
    whole = True
    for path in _walk(push, (), 0):
        if path is None or len(found) >= FIELDS_MAX:
            whole = False
            break
        found[path] = None
    return Fields(tuple(found), whole)


def _walk(value: Any, path: Path, depth: int) -> Iterator[Path | None]:
    """The paths, and None where the push is too deep."""
    if depth > DEPTH_MAX:
        yield None
    elif isinstance(value, Mapping):
        for name, item in value.items():
            here = (*path, str(name))
            if item not in (None, "", [], {}) and not (isinstance(item, str) and _MAIL_ID.fullmatch(item)):
                yield here
            yield from _walk(item, here, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, path, depth + 1)
    elif isinstance(value, str) and (inner := document_in(value)) is not None:
        yield from _walk(inner, path, depth + 1)


def document_in(text: str) -> Any:
    """The object or list that a text holds; None if it is only a text."""
    text = text.strip()
    if not 2 <= len(text) <= TEXT_MAX:
        return None
    if text[0] in "{[":
        return _json(text)
    if text[0] == '"':
        inner = _json(text)
        return document_in(inner) if isinstance(inner, str) and len(inner) < len(text) else None
    if "://" in text and "?" in text and not re.search(r"\s", text):
        try:
            return dict(parse_qsl(urlsplit(text).query)) or None
        except ValueError:
            return None
    return _in_base64(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _in_base64(text: str) -> Any:
    """JSON in base64, in the usual or the URL alphabet."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        raw = base64.b64decode(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_" if set(text) & {"-", "_"} else None
        )
        inner = raw.decode().strip()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return _json(inner) if inner[:1] in ("{", "[") else None


def chat_fields(paths: Iterable[Path], names: Sequence[str], providers: Sequence[str]) -> list[str]:
    """The fields that say that a push is about a chat message, as `data.conversation_id`.

    A field counts if its name, or the end of its path, is one of `names`. Within an object whose name contains one of the words
    in `providers`, such as `mail_provider`, a single field is the provider's own; two of them are a chat message.
    """
    wanted = {tuple(plain(part) for part in name.split(".")) for name in names}
    longest = max(map(len, wanted), default=0)
    found: list[str] = []
    theirs: dict[Path, dict[str, str]] = defaultdict(dict)
    for path in paths:
        ends = {tuple(map(plain, path[-length:])) for length in range(1, longest + 1)}
        if not ends & wanted:
            continue
        owner = next((path[: at + 1] for at, name in enumerate(path[:-1]) if _is_provider(name, providers)), None)
        if owner is None:
            found.append(".".join(path))
        else:
            theirs[owner].setdefault(plain(path[-1]), ".".join(path))
    for fields in theirs.values():
        if len(fields) > 1:
            found += fields.values()
    return found


def _is_provider(name: str, providers: Sequence[str]) -> bool:
    words = {word.casefold() for word in _WORD.findall(name)} | {plain(name)}
    return any(plain(provider) in words for provider in providers)


def type_of(push: Any) -> Any:
    """The value of the field `type` of a push; None without one."""
    if isinstance(push, Mapping):
        return next((value for name, value in push.items() if plain(str(name)) == "type" and value is not None), None)
    return None
