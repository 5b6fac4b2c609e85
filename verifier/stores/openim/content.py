"""What stands for a message's content: OpenIM's texts are never kept, only compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from verifier.judges.recorder import digest


def message_digest(content: str) -> tuple[str, bool]:
    """What stands for a message's content, as a journal's digest does, and whether it is a text.

    OpenIM stores the JSON of the content; a text message has its text under `content`.
    """
    try:
        text = json.loads(content)["content"]
    except (ValueError, KeyError, TypeError):
        text = None
    told = text if isinstance(text, str) else content
    return digest(told), isinstance(text, str)


def urls_in(content: str) -> Iterator[str]:
    """The web addresses that a message's content gives: whole values, also of the JSON that a custom message has within its own."""
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
