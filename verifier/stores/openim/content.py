"""Digests and URLs of message content. The texts themselves are never kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from verifier.judges.recorder import digest


def message_digest(content: str) -> tuple[str, bool]:
    """The digest of a message's content, as in a journal, and whether the content is a text.

    OpenIM stores the content as JSON; a text message has its text under `content`. Other content is digested as it is.
    """
    try:
        text = json.loads(content)["content"]
    except (ValueError, KeyError, TypeError):
        text = None
    digested = text if isinstance(text, str) else content
    return digest(digested), isinstance(text, str)


def urls_in(content: str) -> Iterator[str]:
    """The URLs in a message's content, each once: values that are URLs, also in JSON inside a string, as custom messages
    have it."""
    try:
        yield from dict.fromkeys(_urls(json.loads(content)))
    except (ValueError, RecursionError):
        return


def _urls(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for item in value.values():
                yield from _urls(item)
        case list():
            for item in value:
                yield from _urls(item)
        case str() if value.startswith(("http://", "https://")):
            yield value
        case str() if value.startswith(("{", "[")):
            yield from urls_in(value)
