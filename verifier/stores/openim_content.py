"""What stands for a message's content: OpenIM's texts are never kept, only compared."""

from __future__ import annotations

import json

from verifier.judges.scribe import digest


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
