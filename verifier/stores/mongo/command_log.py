"""The statement log of the MongoDB driver: every command that it sends, in normal form and without values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from verifier.stores.statement_log import StatementLog

SHOWN = ("filter", "pipeline", "projection", "sort", "limit")
DEPTH_MAX = 6


class CommandLog(CommandListener):
    """Logs every command that the driver sends, its own paging included, and every answer."""

    def __init__(self, statement_log: StatementLog) -> None:
        self._statement_log = statement_log
        self._forms: dict[int, str] = {}

    def started(self, event: CommandStartedEvent) -> None:
        """Log a command that is sent."""
        form = normal_command(event.command_name, event.command)
        self._forms[event.request_id] = form
        self._statement_log.note(event.command_name, form)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Log its answer."""
        form = self._forms.pop(event.request_id, event.command_name)
        self._statement_log.answered(form, took_s=event.duration_micros / 1e6, rows=rows_in(event.reply))

    def failed(self, event: CommandFailedEvent) -> None:
        """Log that it was refused or that the connection broke."""
        form = self._forms.pop(event.request_id, event.command_name)
        self._statement_log.answered(form, took_s=event.duration_micros / 1e6, failed=True)


def normal_command(name: str, command: Mapping[str, Any]) -> str:
    """The normal form: `find messages filter {conversation_id: {$in: [?]}} sort {_id: ?}`."""
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
        # Equal shapes are shown once: a thousand values are one, the stages of a pipeline are several.
        return "[" + ", ".join(dict.fromkeys(_shape(item, depth + 1) for item in value)) + "]"
    return "?"


def rows_in(reply: Mapping[str, Any]) -> int:
    """The number of documents in an answer."""
    cursor = reply.get("cursor")
    if not isinstance(cursor, Mapping):
        return 0
    batch = cursor.get("firstBatch", cursor.get("nextBatch"))
    return len(batch) if isinstance(batch, Sequence) else 0
