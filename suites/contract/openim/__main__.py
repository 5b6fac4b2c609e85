"""Print how far a server agrees with the recordings: `python -m suites.contract.openim` (target: OPENIM_API …)."""

from __future__ import annotations

import sys

from suites.contract.openim import recording
from suites.contract.openim.replay import run
from suites.contract.openim.target import from_environment


def main() -> int:
    """One line a flow, then each difference."""
    details: list[str] = []
    cases = equal = 0
    for flow in recording.flows(recording.load()):
        outcomes = run(from_environment(), flow)
        good = sum(not outcome.differences for outcome in outcomes)
        sys.stdout.write(f"{flow:20} {good:4} of {len(outcomes):4}\n")
        cases, equal = cases + len(outcomes), equal + good
        details += [
            f"{outcome.case.case}: {'; '.join(outcome.differences)}" for outcome in outcomes if outcome.differences
        ]
    sys.stdout.write(f"{'all':20} {equal:4} of {cases:4}\n" + "".join(f"  {line}\n" for line in details))
    return 0 if equal == cases else 1


if __name__ == "__main__":
    sys.exit(main())
