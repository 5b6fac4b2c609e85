"""A process that records checks until it is killed: `python writer.py PLACE STACK RUN_ID`. It prints each committed check."""

from __future__ import annotations

import sys

from tests.verifier.history.samples import START, finding, violated
from verifier.history import History


def main() -> None:
    """Commit in a loop. A line is printed after its commit has returned."""
    place, stack, run_id = sys.argv[1:4]
    with History.open(place, stack=stack) as history, history.lock():
        history.begin(run_id, "cutover", START)
        for number in range(100_000):
            check_id = f"X-{number}"
            found = [finding(history, f"{number}/{index}", check_id=check_id) for index in range(5)]
            history.commit_check(
                violated(found, check_id=check_id), {"slot": {"number": number}}, [(check_id, START, "1")]
            )
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
