"""`python -m suites.scorecard.mutate --checks 20 --seed 1`: does the catalogue notice a check that no longer detects anything?

The proof of each chosen check is replaced by one that always holds. All breaches that one of the chosen checks must report are
planted once, with the checks disabled; for each check, at least one of its cases must fail.
Exit code 0: all were noticed; 1: a check can be disabled without being noticed, and is named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar, cast
from unittest.mock import patch

from fixtures.faults import CATALOGUE
from fixtures.stack.stack import Stack
from suites.scorecard import run
from suites.scorecard.score import Card
from verifier.checks.catalogue import load_checks
from verifier.checks.registry import REGISTRY
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.proofs.context import Context


@dataclass(frozen=True, kw_only=True)
class AlwaysHolds:
    """A proof that always holds."""

    takes_baseline: ClassVar[bool] = False

    async def execute(self, _context: Context) -> Judgement:
        """Return `holds`."""
        return Judgement(verdict=Verdict.HOLDS, coverage=(Coverage(text="nothing was read: this check is disabled"),))


@contextmanager
def disabled(check_ids: Sequence[str]) -> Iterator[None]:
    """Replace the proofs of these checks by `AlwaysHolds`, for the length of a block."""
    load_checks()
    always_holds = cast("Any", lambda _profile: AlwaysHolds())
    replaced = {item: replace(REGISTRY[item], build=always_holds) for item in check_ids}
    with patch.dict(REGISTRY._checks, replaced):
        yield


def main() -> int:
    """Choose checks, disable them, run their cases, and print which failed."""
    parser = argparse.ArgumentParser(prog="python -m suites.scorecard.mutate", description=__doc__)
    parser.add_argument("--checks", type=int, default=20, help="how many checks to disable (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice, users and traffic (default 1)")
    arguments = parser.parse_args()
    able = sorted(item.id for item in load_checks())
    chosen = sorted(Random(arguments.seed).sample(able, min(arguments.checks, len(able))))  # noqa: S311 (a choice, no secret)
    cases = frozenset(
        fault.id
        for fault in CATALOGUE
        if fault.kind == "breach" and fault.depth != "mutant" and fault.expects & set(chosen)
    )
    with (
        tempfile.TemporaryDirectory(prefix="mutate-") as scratch,
        Stack.start(Path(scratch)) as stack,
        disabled(chosen),
    ):
        card = run.run_catalogue(stack, seed=arguments.seed, only=cases, say=lambda text: None)
    unnoticed = _print(card, chosen)
    return 1 if unnoticed else 0


def _print(card: Card, chosen: Sequence[str]) -> list[str]:
    unnoticed = []
    for check in chosen:
        mine = [case for case in card.cases if check in case.checks]
        # Only the check's own miss counts: "not reported by A, B" names the checks that missed the breach.
        red = [case.id for case in mine if check in case.said.partition(";")[0].replace(",", " ").split()]
        if not red:
            unnoticed.append(check)
        sys.stdout.write(
            f"{check}: {len(red)} of {len(mine)} cases failed{': ' + ', '.join(red) if red else ' – UNNOTICED'}\n"
        )
    sys.stdout.write(f"{len(chosen) - len(unnoticed)} of {len(chosen)} disabled checks were noticed\n")
    return unnoticed


if __name__ == "__main__":
    sys.exit(main())
