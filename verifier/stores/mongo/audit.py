"""MongoDB commands in their normal form for the audit log: what was asked, without a single value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = ("filter", "pipeline", "projection", "sort", "limit")
DEPTH_MAX = 6


def normal_command(name: str, command: Mapping[str, Any]) -> str:
    """`find messages filter {conversation_id: {$in: [?]}} sort {_id: ?}`."""
    target = command.get("collection") if name == "getMore" else command.get(name)
    parts = [name, target] if isinstance(target, str) else [name]
    parts += [f"{key} {_shape(command[key])}" for key in SHOWN if key in command]
    return " ".join(parts)


def _shape(value: Any, depth: int = 0) -> str:
    if depth > DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shape(item, depth + 1)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        # A thousand values are one shape; the stages of a pipeline are several.
        return "[" + ", ".join(dict.fromkeys(_shape(item, depth + 1) for item in value)) + "]"
    return "?"


def rows_in(reply: Mapping[str, Any]) -> int:
    """How many documents an answer brought."""
    cursor = reply.get("cursor")
    if not isinstance(cursor, Mapping):
        return 0
    batch = cursor.get("firstBatch", cursor.get("nextBatch"))
    return len(batch) if isinstance(batch, Sequence) else 0
