"""`python -m suites.scorecard.churn --minutes N`: judge a platform without breaches again and again while it is used.

In addition to the scorecard's traffic, other users move conversations, change devices, join by invite, pin, report.
Exit code 0: no findings and nothing inconclusive; 1: there were some, which are printed; 2: it could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fixtures.blueprints import background_traffic, worlds
from fixtures.blueprints.lifecycle_traffic import lifecycle_traffic
from fixtures.blueprints.shape.options import Shape
from fixtures.faults import CATALOGUE, Site
from fixtures.faults.planting import findings
from fixtures.scenarios.phases import HEALTHY_JOURNAL, USERS
from fixtures.scenarios.shapes import churn_shape
from fixtures.scenarios.verifier_runs import FLUSH_S, VerifierRuns
from fixtures.stack.stack import Stack, World
from suites.scorecard import shapes
from verifier.model.verdict import RunResult, Verdict


def main() -> int:
    """Run half of the time in the cutover and half frozen, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m suites.scorecard.churn", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="minutes to run, half of them in each phase (default 30)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of users and traffic (default 1)")
    parser.add_argument(
        "--shape",
        choices=shapes.CHOICES,
        help="use generated platforms of these shapes instead of the reference platform, the time divided between them",
    )
    parser.add_argument("--shapes", type=int, default=0, metavar="N", help="how many shapes, from --seed on")
    arguments = parser.parse_args()
    if arguments.shape:
        return _shapes(shapes.chosen(arguments.shape, seed=arguments.seed, count=arguments.shapes), arguments.minutes)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="churn-") as scratch, Stack.start(Path(scratch)) as stack:
        for phase in ("cutover", "frozen"):
            with stack.new_world() as world:
                wrong += asyncio.run(churn(world, phase, arguments.minutes * 30, arguments.seed))
    sys.stdout.write("\n".join([f"{len(wrong)} findings or inconclusive verdicts", *wrong, ""]))
    return 1 if wrong else 0


def _shapes(chosen: Sequence[Shape], minutes: float) -> int:
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="churn-") as scratch, Stack.start(Path(scratch)) as stack:
        for shape in chosen:
            began = time.monotonic()

            def tell(
                phase: str, number: int, result: RunResult, name: str = f"shape {shape.seed}", at: float = began
            ) -> None:
                wrong.extend(f"{name} {phase} run {number}: {text}" for text in _unexpected(result))
                _row(f"{name} {phase}", number, time.monotonic() - at, result, Counter())

            done = churn_shape(stack, shape, for_s=minutes * 60 / len(chosen), tell=tell)
            acts = ", ".join(f"{times} × {name}" for name, times in sorted(done.items()))
            sys.stdout.write(f"shape {shape.seed}: {acts} ({shape.describe()})\n")
    sys.stdout.write("\n".join([f"{len(wrong)} findings or inconclusive verdicts", *wrong, ""]))
    return 1 if wrong else 0


async def churn(world: World, phase: str, for_s: float, seed: int) -> list[str]:
    """Run the verifier repeatedly in one phase. Returns its findings and inconclusive verdicts, of which there must be none."""
    config = world.config
    population = await worlds.mid_migration(config, users=USERS, seed=seed)
    people = await background_traffic.make_users(config, seed=seed)
    if phase == "frozen":
        await worlds.frozen(config, population, seed=seed)
    wrong: list[str] = []
    with VerifierRuns(config) as runs:
        runs.enter(phase)
        async with (
            Site.open(config, population, world.admin) as site,
            background_traffic.running(config, people, seed=seed) as traffic,
            lifecycle_traffic(config, seed=seed, frozen=phase == "frozen") as lifecycle,
        ):
            await asyncio.sleep(FLUSH_S)
            await runs.baseline()
            began = time.monotonic()
            number = 0
            while time.monotonic() - began < for_s:
                number += 1
                planted_round = await runs.round(site, [CATALOGUE[name] for name in HEALTHY_JOURNAL])
                unexpected = _unexpected(planted_round.result)
                wrong += [f"{phase} run {number}: {text}" for text in unexpected]
                _row(phase, number, time.monotonic() - began, planted_round.result, traffic.counts + lifecycle.counts)
            wrong += [f"{phase}: the platform refused {refusal}" for refusal in lifecycle.refusals]
            done = ", ".join(f"{times} × {name}" for name, times in sorted((traffic.counts + lifecycle.counts).items()))
            sys.stdout.write(f"{phase}: {done}\n")
    return wrong


def _unexpected(result: RunResult) -> list[str]:
    inconclusive = [
        f"{outcome.check_id} inconclusive: {outcome.judgement.reason}"
        for outcome in result.outcomes
        if outcome.verdict is Verdict.INCONCLUSIVE
    ]
    return [*(f"{item.check_id}: {item.summary} [{item.key}]" for item in findings(result)), *inconclusive]


def _row(phase: str, number: int, at_s: float, result: RunResult, made: Counter[str]) -> None:
    verdicts = Counter(outcome.verdict.value for outcome in result.outcomes)
    shown = "  ".join(f"{name} {times}" for name, times in sorted(verdicts.items()))
    sys.stdout.write(f"{phase:8} run {number:4}  {at_s:7.1f} s  {shown}  actions {made.total()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
