"""REST cases whose answer depends on the configuration, the database or the day: the answer of any recording is right.

`alternatives.toml` lists them with their reasons.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from suites.contract.openim.rest import recording
from suites.contract.openim.rest.recording import Case
from suites.contract.openim.shared.recording_files import RECORDINGS

FILE = Path(__file__).with_name("alternatives.toml")


@cache
def reasons() -> dict[str, str]:
    """Case -> why its answer may be that of another recording."""
    entries = tomllib.loads(FILE.read_text(encoding="utf-8"))["alternatives"]
    return {case: entry["reason"] for entry in entries for case in entry["cases"]}


def alternatives_of(case: Case) -> Iterator[tuple[str, Case]]:
    """(reason, case) of each other answer that is right for a case."""
    why = reasons().get(case.case)
    if why is None:
        return
    for name in RECORDINGS:
        other = _cases(name).get(case.case)
        if other is not None and (other.status, other.response) != (case.status, case.response):
            yield f"as in the recording of {name}: {why}", other


def distinct_answers() -> list[Case]:
    """The cases of the newest recording, and those of the others that it lacks or that have alternatives."""
    newest, *others = RECORDINGS
    found = dict(_cases(newest))
    more = [
        case
        for name in others
        for case in _cases(name).values()
        if case.case not in found or any(one is case for _, one in alternatives_of(found[case.case]))
    ]
    return [*found.values(), *more]


@cache
def _cases(name: str) -> dict[str, Case]:
    return {case.case: case for case in recording.load_of(name)}
