"""What a journal saw over OpenIM's WebSocket: the sentence that the coverage of its judges owes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from verifier.judges.operation import WEBSOCKET, Operation, OpPhase


@dataclass(slots=True)
class OverWebSocket:
    """Counts: connections that stood, acknowledged sends over them and in all, messages seen on them."""

    connections: int = 0
    acked: int = 0
    acked_in_all: int = 0
    pushes: int = 0

    def __str__(self) -> str:
        if not self.connections:
            return "REST alone, no WebSocket"
        return (
            f"over OpenIM's WebSocket: {_counted(self.connections, 'connection')}, {self.acked} of "
            f"{_counted(self.acked_in_all, 'acknowledged send')}, {_counted(self.pushes, 'push', 'pushes')}"
        )


def over_websocket(operations: Iterable[Operation]) -> OverWebSocket:
    """Count what went over OpenIM's WebSocket."""
    found, sent_so = OverWebSocket(), set[str]()
    for item in operations:
        over = item.text("channel") == WEBSOCKET
        match item.op, item.phase:
            case "ws_connect", OpPhase.OK:
                found.connections += 1
            case "send", OpPhase.INVOKE if over:
                sent_so.add(item.id)
            case "send", OpPhase.OK:
                found.acked_in_all += 1
                found.acked += item.id in sent_so
            case "receive", OpPhase.OK if over:
                found.pushes += 1
    return found


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
