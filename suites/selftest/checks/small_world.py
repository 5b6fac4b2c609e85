"""A small frozen world with a memory, for tests of what the verifier cannot know."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fixtures.blueprints import worlds
from fixtures.blueprints.population import Population
from fixtures.faults import CATALOGUE, Site
from fixtures.faults.broker import STATISTICS_S
from fixtures.faults.edits import Edit, put_all
from fixtures.stack import Stack, World
from fixtures.world import WorldConfig
from suites.selftest.checks.judging import Watch
from suites.selftest.checks.stories import HEALTHY_JOURNAL
from verifier.verdict import RunResult, Verdict

USERS = 8
CONNECT_S, OPERATION_S, OBSERVE_S = 0.7, 1.5, 0.4
ROLES = ("user_db", "chat_db", "chat_mongo", "cache_redis", "session_redis", "broker", "openim", "openim_mongo")


@dataclass(kw_only=True)
class SmallWorld:
    """A world in which everything holds, and what its first run said."""

    world: World
    watch: Watch
    population: Population
    healthy: dict[str, Verdict]

    def judge(self, *edits: Edit, config: WorldConfig | None = None, only: tuple[str, ...] = ()) -> RunResult:
        """One run with short limits."""
        return asyncio.run(self.watch.judge(self.text(*edits, config=config), only=only))

    def text(self, *edits: Edit, config: WorldConfig | None = None) -> str:
        """The profile, with short limits on every store."""
        roles = [role for role in ROLES if role != "broker" or self.world.config.platform.amqp]
        limits = {f"roles.{role}.connect_timeout_s": CONNECT_S for role in roles}
        limits |= {f"roles.{role}.operation_timeout_s": OPERATION_S for role in roles}
        text = put_all({**limits, "timing.observe_s": OBSERVE_S})(self.watch.profile(config))
        for edit in edits:
            text = edit(text)
        return text


@contextmanager
def small_world(stack: Stack) -> Iterator[SmallWorld]:
    """Drive it, freeze it, take the baseline, and see that it is well."""
    with stack.new_world(openim_store="mongo") as world:
        population = asyncio.run(worlds.frozen(world.config, users=USERS))
        asyncio.run(_record(world, population))
        with Watch(world.config) as watch:
            watch.enter("frozen")
            time.sleep(STATISTICS_S)
            asyncio.run(watch.baseline())
            small = SmallWorld(world=world, watch=watch, population=population, healthy={})
            small.healthy = verdicts(small.judge())
            yield small


async def _record(world: World, population: Population) -> None:
    async with Site.open(world.config, population, world.admin) as site:
        for fault_id in HEALTHY_JOURNAL:
            await CATALOGUE[fault_id].plant(site)


def verdicts(result: RunResult) -> dict[str, Verdict]:
    """The verdicts by check."""
    return {outcome.check_id: outcome.verdict for outcome in result.outcomes}


def reasons(result: RunResult) -> dict[str, str]:
    """Why checks are inconclusive."""
    return {
        outcome.check_id: outcome.judgement.reason
        for outcome in result.outcomes
        if outcome.verdict is Verdict.INCONCLUSIVE
    }
