"""Compares a run that is killed with SIGKILL and resumed, several times, with an uninterrupted run.

    python -m tests.verifier.engine.killing --points 50 --seed 7

The stack is an embedded world in phase frozen with planted faults, slowed down by its budgets so that a run takes some seconds.
Both runs start with a copy of the same history. Exit code: 0 all equal, 1 not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fixtures.blueprints import worlds
from fixtures.blueprints.population import Population
from fixtures.faults import CATALOGUE, Site
from fixtures.faults.broker import STATISTICS_S
from fixtures.faults.edits import put_all
from fixtures.faults.planting import plant_all
from fixtures.scenarios.phases import HEALTHY_JOURNAL
from fixtures.scenarios.verifier_runs import VerifierRuns
from fixtures.stack.profile import write_profile
from fixtures.stack.stack import Stack, World
from verifier.history import History, RunKind, RunState

ROOT = Path(__file__).resolve().parents[3]
USERS = 20
PACE: dict[str, Any] = {
    "timing.settle_s": 0.6,
    "timing.observe_s": 1.0,
    "timing.counter_flush_s": 0,
    **{f"roles.{role}.chunk_rows": 4 for role in ("user_db", "chat_db", "chat_mongo")},
    **{f"budgets.{role}.statements_per_s": 40 for role in ("user_db", "chat_db", "chat_mongo", "openim")},
}
"""Small chunks and few statements a second, so that walks over twelve users take some seconds."""
DRAINING = frozenset(
    {"PRS-01/present", "PRS-01/another-index", "PRS-01/serialised-key", "PRS-01/namespace", "PRS-02/another-index"}
)
"""Faults that disappear by themselves."""
COMMAND = "from verifier.commands.cli import main; main()"
KILLS_MAX = 3
RUN_LIMIT_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a run stored, without values that differ from run to run (times, IDs)."""

    verdicts: dict[str, str]
    coverage: dict[str, list[int]]
    findings: dict[str, str]
    watermarks: dict[str, Any]
    runs: list[tuple[str, str]]
    exit_code: int | None
    """None if the process was killed after the run had ended."""

    def differences(self, other: Stored) -> list[str]:
        """The differences as text."""
        return [
            f"{name}: {mine!r} and {theirs!r}"
            for name in ("verdicts", "coverage", "findings", "watermarks", "runs", "exit_code")
            for mine, theirs in [_differing(getattr(self, name), getattr(other, name))]
            if mine != theirs and not (name == "exit_code" and None in (mine, theirs))
        ]


def _differing(mine: Any, theirs: Any) -> tuple[Any, Any]:
    if not isinstance(mine, dict):
        return mine, theirs
    names = {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)}
    return {name: mine.get(name) for name in sorted(names)}, {name: theirs.get(name) for name in sorted(names)}


@dataclass(kw_only=True)
class Arena:
    """A world with faults, the history with its baseline, and a directory for copies."""

    world: World
    text: str
    baseline: Path
    place: Path

    def uninterrupted(self) -> tuple[Stored, float]:
        """One run to its end, and its duration in seconds."""
        profile = self._copy("uninterrupted")
        begun = time.monotonic()
        code = self._start(profile).wait(RUN_LIMIT_S)
        return self._stored(profile, code), time.monotonic() - begun

    def killed(self, name: str, chance: random.Random, lasts_s: float) -> tuple[Stored, list[float], int]:
        """One run that is killed up to KILLS_MAX times: what it stored, the times of the kills, and how many checks were judged by then."""
        profile = self._copy(name)
        kills: list[float] = []
        for _ in range(chance.randint(1, KILLS_MAX)):
            process = self._start(profile)
            after_s = chance.uniform(0.05, lasts_s)
            try:
                code = process.wait(after_s)
                return self._stored(profile, code), kills, self._judged(profile)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                kills.append(round(after_s, 2))
                if self._finished(profile):  # it was killed while it wrote reports: the run has finished
                    return self._stored(profile, None), kills, self._judged(profile)
        judged = self._judged(profile)
        return self._stored(profile, self._start(profile).wait(RUN_LIMIT_S)), kills, judged

    def _copy(self, name: str) -> Path:
        directory = self.place / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        shutil.copy(self.baseline, directory / "history.db")
        text = put_all({"history": str(directory / "history.db")})(self.text)
        path = directory / "stack.toml"
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def _start(self, profile: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", COMMAND, "run", "--resume", "--profile", str(profile)]
        with (profile.parent / "out").open("ab") as out:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            return subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT, env=environment)

    def _judged(self, profile: Path) -> int:
        with self._history(profile) as history:
            return sum(sum(run.counts.values()) for run in history.runs() if run.kind is RunKind.RUN)

    def _finished(self, profile: Path) -> bool:
        with self._history(profile) as history:
            newest = history.runs(1)[0]
            return (newest.kind, newest.state) == (RunKind.RUN, RunState.FINISHED)

    def _history(self, profile: Path) -> History:
        return History.open(str(profile.parent / "history.db"), stack=self.world.config.name)

    def _stored(self, profile: Path, code: int | None) -> Stored:
        with self._history(profile) as history:
            runs = history.runs()
            result = history.result(runs[0].run_id)
            if result is None:
                raise RuntimeError(f"no run in {profile.parent}: {(profile.parent / 'out').read_text()}")
            return Stored(
                verdicts={item.check_id: item.verdict.value for item in result.outcomes},
                coverage={item.check_id: [part.seen for part in item.judgement.coverage] for item in result.outcomes},
                findings={
                    item.fingerprint: f"{item.check_id} {item.state.value} {item.times_seen}× {item.finding.key}"
                    for item in history.findings()
                },
                watermarks={f"{item.check_id} {item.slot}": _lasting(item.value) for item in history.watermarks()},
                runs=[(run.kind.value, run.state.value) for run in runs],
                exit_code=code,
            )


def _lasting(value: Any) -> Any:
    """A watermark without its time and log position, which always change; of heartbeats, only the names;
    of open findings, only the keys."""
    kept = {name: item for name, item in dict(value).items() if name not in ("at", "horizon")}
    if "heartbeats" in kept:
        kept["heartbeats"] = sorted(kept["heartbeats"])
    if "findings" in kept:
        kept["findings"] = sorted(item["raw_key"] for item in kept["findings"])
    return json.loads(json.dumps(kept, sort_keys=True))


@contextmanager
def arena(stack: Stack) -> Iterator[Arena]:
    """Create the world, take its baseline, plant faults."""
    with stack.new_world() as world, tempfile.TemporaryDirectory(prefix="killing-") as place:
        population = asyncio.run(worlds.frozen(world.config, users=USERS))
        history = Path(place) / "baseline.db"
        with VerifierRuns(world.config) as watch:
            watch.enter("frozen")
            text = put_all({**PACE, "history": str(history)})(watch.profile())
        if not world.config.platform.amqp:
            text = put_all({"roles.broker.connect_timeout_s": 1.0})(text)
        profile = write_profile(world.config, text)
        time.sleep(STATISTICS_S)
        command = [sys.executable, "-c", COMMAND, "baseline", "--profile", str(profile)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=RUN_LIMIT_S, check=False)
        asyncio.run(_break(world, population))
        with History.open(str(history), stack=world.config.name) as opened:
            if [run.state for run in opened.runs()] != [RunState.FINISHED]:
                raise RuntimeError("the baseline was not taken")
        yield Arena(world=world, text=text, baseline=_single_file(history), place=Path(place))


def _single_file(history: Path) -> Path:
    """A copy of the database without a write-ahead log."""
    import sqlite3
    from contextlib import closing

    copy = history.with_name("baseline-copy.db")
    with closing(sqlite3.connect(history)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


async def _break(world: World, population: Population) -> None:
    async with Site.open(world.config, population, world.admin) as site:
        faults = CATALOGUE.select("frozen", "breach", having=site.has)
        lasting = [fault for fault in faults if not fault.during and fault.edit is None and fault.id not in DRAINING]
        await plant_all(site, [CATALOGUE[fault_id] for fault_id in HEALTHY_JOURNAL])
        await plant_all(site, lasting)
        await site.clean_up()
        # Nonces expire within minutes, before the last run.
        async for key in site.redis.scan_iter("hmac:nonce:*"):
            await site.redis.delete(key)
    # Wait until the statistics of the servers include these writes.
    await asyncio.sleep(max(STATISTICS_S, 11.0))


def compare(arena_: Arena, points: int, seed: int, say: Any = print) -> list[str]:
    """Kill at `points` random times; return the differences."""
    reference, lasts_s = arena_.uninterrupted()
    counts = (
        f"{len(reference.verdicts)} checks, {len(reference.findings)} findings, {len(reference.watermarks)} watermarks"
    )
    say(f"uninterrupted: {lasts_s:.1f} s, {counts}, exit code {reference.exit_code}")
    faults: list[str] = []
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    done = 0
    while done < points:
        stored, kills, judged = arena_.killed(f"run-{done}", chance, lasts_s)
        done += max(1, len(kills))
        found = stored.differences(reference)
        faults += [f"killed at {kills}: {item}" for item in found]
        say(f"{done}/{points}: killed at {kills} s, {judged} checks judged by then: {'; '.join(found) or 'equal'}")
    again, _ = arena_.uninterrupted()
    faults += [f"the world itself changed: {item}" for item in again.differences(reference)]
    return faults


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=50, help="how many kills")
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).timestamp()))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory(prefix="killing-stack-") as directory:
        stack = Stack.start(Path(directory) / "stack")
        try:
            with arena(stack) as made:
                faults = compare(made, options.points, options.seed, lambda text: print(text, flush=True))  # noqa: T201
        finally:
            stack.stop()
    sys.stdout.write("\n".join(faults or ["all equal"]) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
