"""MSG-04 in the canary's journal: each acknowledged message is in OpenIM once, in order and unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from verifier.judges.delivery import judge_delivery
from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import Operation
from verifier.judges.order import judge_order
from verifier.judges.sockets import over_websocket

CANARY_SETTLE_S = 2.0
"""How long an acknowledged message may take to become readable, because OpenIM acknowledges before it stores [F66]."""

_KINDS = ("send", "receive", "read_back", "ws_connect")


def judge_canary_delivery(
    operations: Iterable[Operation], *, settle_s: float = CANARY_SETTLE_S
) -> JournalJudgement | None:
    """Judge delivery and name the transport. None if nothing was sent or seen."""
    recorded = [item for item in operations if item.op in _KINDS]
    report = judge_delivery(recorded, settle_s=settle_s)
    return None if report is None else _with_transport(report.judgement, recorded)


def judge_canary_order(operations: Iterable[Operation]) -> JournalJudgement | None:
    """Judge order and name the transport. None if there is nothing to compare."""
    recorded = [item for item in operations if item.op in _KINDS]
    judgement = judge_order(recorded)
    return None if judgement is None else _with_transport(judgement, recorded)


def _with_transport(judgement: JournalJudgement, recorded: list[Operation]) -> JournalJudgement:
    sockets = over_websocket(recorded)
    unseen = () if sockets.connections else ("sends and pushes over OpenIM's WebSocket",)
    return replace(judgement, seen_over=str(sockets), unseen=(*judgement.unseen, *unseen))
