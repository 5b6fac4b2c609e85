"""Counts what a journal recorded over OpenIM's WebSocket, for the coverage of its judges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from verifier.judges.operation import WEBSOCKET, Operation, OpPhase


@dataclass(slots=True)
class OverWebSocket:
    """Counts of opened connections, of acknowledged sends over them and in total, and of messages seen on them."""

    connections: int = 0
    acked: int = 0
    acked_total: int = 0
    pushes: int = 0

    def __str__(self) -> str:
        if not self.connections:
            return "REST only, no WebSocket"
        return (
            f"over OpenIM's WebSocket: {_counted(self.connections, 'connection')}, {self.acked} of "
            f"{_counted(self.acked_total, 'acknowledged send')}, {_counted(self.pushes, 'push', 'pushes')}"
        )


def over_websocket(operations: Iterable[Operation]) -> OverWebSocket:
    """Count the operations over OpenIM's WebSocket."""
    found, sent_over = OverWebSocket(), set[str]()
    for item in operations:
        over = item.text("channel") == WEBSOCKET
        match item.op, item.phase:
            case "ws_connect", OpPhase.OK:
                found.connections += 1
            case "send", OpPhase.INVOKE if over:
                sent_over.add(item.id)
            case "send", OpPhase.OK:
                found.acked_total += 1
                found.acked += item.id in sent_over
            case "receive", OpPhase.OK if over:
                found.pushes += 1
    return found


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
