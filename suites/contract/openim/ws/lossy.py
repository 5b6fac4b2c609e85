"""Sessions in which the server acknowledges and loses (trap R1): which messages survive is chance, so the rule is judged.

What must hold: pushes come in the order sent, with the seqs 1, 2, 3 …, each of one message that was sent, as it was
sent; and something was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from suites.contract.openim.ws import frames
from suites.contract.openim.ws.recording import Line, Session, Source

Shown = dict[str, Any]


def surviving(session: Session, recorded: Sequence[Line], came: Sequence[Shown]) -> Iterator[str]:
    """What does not hold of the pushes to the receiver."""
    sent = [line.decoded["operationID"] for line in session.lines if _is_send(line)]
    shown = [one.get("operationID") for one in came]
    seqs = [message.get("seq") for one in came for _, _, message in frames.messages_in(one)]
    if seqs != list(range(1, len(came) + 1)):
        yield f"the seqs are {seqs}, and should be 1 to {len(came)}"
    if [one for one in sent if one in shown] != shown:
        yield "the pushes are no part of what was sent, in its order"
    if recorded and len(came) == len(sent):
        yield f"nothing was lost; recorded: {len(sent) - len(recorded)} of {len(sent)}"


def _is_send(line: Line) -> bool:
    return line.source is Source.CLIENT and line.kind == "binary" and line.decoded.get("reqIdentifier") == 1003


def with_seq(recorded: Any, highest: int) -> Any:
    """An answer with the highest seqs in it as they must be where `highest` messages survived."""
    if not isinstance(recorded, dict) or "maxSeqs" not in (recorded.get("data") or {}):
        return recorded
    seqs = dict.fromkeys(recorded["data"]["maxSeqs"], highest) if highest else {}
    return {**recorded, "data": {"maxSeqs": seqs} if seqs else {}}
