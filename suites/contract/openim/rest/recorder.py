"""Recording the REST cases again, with the symbols of the recordings in place of ids, tokens and secrets."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from suites.contract.openim.rest import recording
from suites.contract.openim.rest.bindings import RestBindings
from suites.contract.openim.rest.recording import Case
from suites.contract.openim.rest.replay import replay_flow
from suites.contract.openim.server import Server
from suites.contract.openim.shared.bindings import map_strings
from suites.contract.openim.shared.forged_tokens import hide_tokens


async def record_rest(server: Server | None, cases: list[Case]) -> list[Case]:
    """Each asserted case with the answer of this server; None is the double."""
    found: dict[str, Case] = {}
    for flow in recording.flows(cases):
        replayed = await replay_flow(server, flow, cases)
        to_recorded = replayed.bindings.to_recorded()
        for one in replayed.outcomes:
            response = _as_recorded(one.case.response, one.answer, to_recorded, replayed.bindings)
            values = {**asdict(one.case), "status": one.status, "response": response}
            found[one.case.case] = Case(**values)
    return [found[case.case] for case in cases if case.case in found]


def _as_recorded(recorded: Any, answer: Any, to_recorded: Callable[[str], str], bindings: RestBindings) -> Any:
    """An answer with symbols, and with the forms in which the recording writes long and encoded values."""

    def plain(value: Any) -> Any:
        return map_strings(value, lambda text: hide_tokens(to_recorded(text)))

    if isinstance(recorded, dict) and len(recorded) == 1:
        ((form, detail),) = recorded.items()
        if form == "$base64_json" and isinstance(answer, str):
            return {form: to_recorded(base64.b64decode(answer).decode(errors="replace"))}
        if form == "$truncated_list" and isinstance(answer, list):
            first, last = len(detail["first"]), len(detail["last"])
            ends = {"first": answer[:first], "last": answer[len(answer) - last :]}
            return {form: {"length": len(answer), **{name: plain(end) for name, end in ends.items()}}}
    if isinstance(recorded, dict) and isinstance(answer, dict):
        return {
            to_recorded(key): _as_recorded(recorded.get(to_recorded(key)), one, to_recorded, bindings)
            for key, one in answer.items()
        }
    if isinstance(recorded, list) and isinstance(answer, list):
        padded = [*recorded, *[None] * len(answer)]
        return [_as_recorded(padded[index], one, to_recorded, bindings) for index, one in enumerate(answer)]
    if isinstance(recorded, str) and isinstance(answer, str) and bindings.fill(recorded) == answer:
        return recorded
    return plain(answer)
