"""Differences from one recording that are accepted because another recording shows what the server did.

`sessions.toml` lists for which answers and pushes that may be so, each with its reason. The session is judged a second
time, against the other recording, and the case in question must be as recorded there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from suites.contract.openim.shared.recording_files import RECORDINGS
from suites.contract.openim.ws import recording
from suites.contract.openim.ws.judge import WsOutcome, judge
from suites.contract.openim.ws.player import SessionResult
from suites.contract.openim.ws.recorded_result import result_from_recording
from suites.contract.openim.ws.recorder import lines_of
from suites.contract.openim.ws.recording import Session
from suites.contract.openim.ws.session_settings import SessionSettings

_LINE = re.compile(r" \(line \d+\)$")


def accepted(result: SessionResult, outcomes: Iterable[WsOutcome], settings: SessionSettings) -> dict[str, str]:
    """The sentences of the differences that are as in another recording, each with its reason."""
    wanted = [(one, why) for one in outcomes if one.differences and (why := settings.alternative(one.text))]
    if not wanted:
        return {}
    to_recorded = result.bindings.to_recorded()
    (played,) = recording.sessions_of(lines_of(result))
    found = {}
    for name in RECORDINGS:
        other = _sessions(name).get(result.session.name)
        if other is None or name == result.session.recording:
            continue
        again = judge(result_from_recording(other, played), settings)
        different = {_without_line(one.case) for one in again if one.differences}
        for one, why in wanted:
            if _without_line(to_recorded(one.case)) not in different:
                found[one.text] = f"as in the recording of {name}: {why}"
    return found


@cache
def _sessions(name: str) -> dict[str, Session]:
    return {session.name: session for session in recording.load_of(name)}


def _without_line(case: str) -> str:
    """A case without the number of its line, which differs between recordings."""
    return _LINE.sub("", case)
