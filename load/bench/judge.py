"""Time and memory for judging ten million events: `python -m load.bench.judge [FILE]`."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from load.bench.journal import write
from load.judging.account import judge_run


def main() -> None:
    """Judge a journal, by default a synthetic one, and print time and memory."""
    parser = argparse.ArgumentParser(prog="python -m load.bench.judge", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--events", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = options.file or Path(directory) / "synthetic.columns"
        held = None if options.file else write(path, events=options.events, pairs=1_000)
        began_s = time.perf_counter()
        readers, judged = judge_run([path], settle_s=2.0)
        took_s = time.perf_counter() - began_s
    # Of the whole process: writing the journal needs less than judging it.
    held_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lost = judged.delivery.count("lost") if judged.delivery else 0
    sys.stdout.write(
        f"{readers[0].events} events judged in {took_s:.1f} s and {held_mb:.0f} MB; {lost} deliveries lost"
    )
    sys.stdout.write(f" ({2 * held['lost']} planted)\n" if held else "\n")


if __name__ == "__main__":
    main()
