"""A synthetic journal of any size with planted losses: `python -m load.bench.journal FILE --events 10000000`.

Pairs of users write to each other; each message is acknowledged, pushed to both and read back by both: six events.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np

from load.journal.layout import EVENT, OK, Column, Events, Kind
from load.journal.writer import ColumnWriter

_PER_MESSAGE: Final = 6
_CHUNK: Final = 100_000
_SECOND_NS: Final = 1_000_000_000
_LOST_EACH: Final = 100_003
"""One message of this many is acknowledged and neither pushed nor stored."""


def write(path: Path, *, events: int, pairs: int) -> dict[str, int]:
    """Write a journal; returns the number of its messages and of its lost ones."""
    journal = ColumnWriter(path, run_id="synthetic", stack="synthetic", worker=0, digest="0" * 16)
    lanes = 2 * pairs
    for pair in range(pairs):
        names = f"canary{2 * pair:06d}", f"canary{2 * pair + 1:06d}"
        chat = journal.conversation(f"si_{names[0]}_{names[1]}", names)
        for name in names:
            journal.lane(journal.user(name), chat)
            journal.event(Kind.CONNECTED, 0, journal.next_connection(), journal.user(name))
    messages = events // _PER_MESSAGE
    start_ns = 10 * _SECOND_NS
    for first in range(0, messages, _CHUNK):
        count = np.arange(first, min(first + _CHUNK, messages), dtype=np.int64)
        _append(journal, _live(count, lanes, start_ns))
    end_ns = start_ns + messages * 1000 + 60 * _SECOND_NS
    for user in range(lanes):
        journal.event(Kind.READ, end_ns, user, user, a=user // 2)
    for first in range(0, messages, _CHUNK):
        count = np.arange(first, min(first + _CHUNK, messages), dtype=np.int64)
        _append(journal, _pulled(count[(count + 1) % _LOST_EACH != 0], lanes, end_ns + 1))
    for user in range(lanes):
        journal.event(Kind.READ_END, end_ns + 2, user, user, OK, 1, 1, messages)
        journal.event(Kind.ENDED, end_ns + 3, user, user, a=end_ns + 2)
    journal.close()
    return {"messages": messages, "lost": messages // _LOST_EACH}


def _rows(size: int, kind: Kind) -> Events:
    rows = np.zeros(size, EVENT)
    rows["kind"], rows["phase"] = kind, OK
    return rows


def _live(count: Column, lanes: int, start_ns: int) -> Events:
    """Sends, acknowledgements and pushes of these messages, 1 microsecond apart."""
    lane, number, at_ns = count % lanes, count + 1, start_ns + count * 1000
    rows = np.concatenate([_rows(len(count), kind) for kind in (Kind.SEND, Kind.ACK, Kind.PUSHED, Kind.PUSHED)])
    parts = np.split(rows, 4)
    for place, (part, later_ns) in enumerate(zip(parts, (0, 500, 700, 800), strict=True)):
        part["number"], part["at_ns"] = number, at_ns + later_ns
        part["who"] = lane if place < 2 else lane // 2 * 2 + place - 2
        part["a"] = at_ns if place == 0 else count // lanes * 2 + lane % 2 + 1 if place > 1 else 0
        part["b"] = number if place else 0
    lost = np.tile(number % _LOST_EACH == 0, 4) & (rows["kind"] == Kind.PUSHED)
    rows = rows[~lost]
    ordered: Events = rows[np.argsort(rows["at_ns"], kind="stable")]
    return ordered


def _pulled(count: Column, lanes: int, at_ns: int) -> Events:
    rows = np.concatenate([_rows(len(count), Kind.PULLED), _rows(len(count), Kind.PULLED)])
    for place, part in enumerate(np.split(rows, 2)):
        lane = count % lanes
        part["number"], part["at_ns"], part["b"] = count + 1, at_ns, count + 1
        part["who"] = lane // 2 * 2 + place
        part["a"] = count // lanes * 2 + lane % 2 + 1
    return rows


def _append(journal: ColumnWriter, rows: Events) -> None:
    journal.append(rows)


def main() -> None:
    """Write a journal and print what it contains."""
    parser = argparse.ArgumentParser(prog="python -m load.bench.journal", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--pairs", type=int, default=1_000)
    options = parser.parse_args()
    held = write(options.file, events=options.events, pairs=options.pairs)
    parser.exit(0, f"{held['messages']} messages, {held['lost']} of them lost\n")


if __name__ == "__main__":
    main()
