"""Cases that need a run of their own: unknowable cases and mutants, planted one after the other."""

from __future__ import annotations

import asyncio
import logging
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random

from fixtures.blueprints import background_traffic, worlds
from fixtures.faults import CATALOGUE, Fault, Site
from fixtures.faults.edits import put_all
from fixtures.scenarios.phases import HEALTHY_JOURNAL, USERS, ScenarioOptions
from fixtures.scenarios.small_world import CONNECT_S, OBSERVE_S, OPERATION_S, ROLES
from fixtures.scenarios.verifier_runs import FLUSH_S, VerifierRuns
from fixtures.stack.stack import Stack, World
from suites.scorecard.score import Card, Case, admitted, scored

_log = logging.getLogger(__name__)
LAST = "PUB-01/restarted"
"""It empties Redis, so cases after it would find a platform without sessions and tokens. Background traffic stops for it."""


def run_unknowable(stack: Stack, options: ScenarioOptions, faults: Sequence[Fault], card: Card) -> None:
    """Plant each case in one frozen world with traffic, on which OpenIM's database can be read, and score it."""
    with stack.new_world(openim_store="mongo") as world:
        asyncio.run(_run_each(world, options, faults, card, _admit))


def run_mutants(stack: Stack, options: ScenarioOptions, faults: Sequence[Fault], card: Card) -> None:
    """Switch one mutant on after the other in a frozen world with traffic, and score whether it is found."""
    with stack.new_world(platform_arguments=("--mutants",)) as world:
        asyncio.run(_run_each(world, options, faults, card, _find))


Judge = Callable[[VerifierRuns, Site, Fault], Awaitable[Case]]


async def _run_each(world: World, options: ScenarioOptions, faults: Sequence[Fault], card: Card, judge: Judge) -> None:
    config = world.config
    population = await worlds.mid_migration(config, users=USERS, seed=options.seed)
    people = await background_traffic.make_users(config, seed=options.seed)
    await worlds.frozen(config, population, seed=options.seed)
    with VerifierRuns(config) as runs:
        runs.enter("frozen")
        async with (
            Site.open(config, population, world.admin, world=world, memory=runs.rewrite_memory) as site,
            background_traffic.running(config, people, seed=options.seed) as traffic,
            AsyncExitStack() as stack,
        ):
            site.traffic = traffic.pause
            await asyncio.sleep(FLUSH_S)
            await runs.baseline()
            for fault in _ordered(faults, options.seed):
                if fault.needs <= site.has:
                    if fault.id == LAST:
                        await stack.enter_async_context(traffic.pause())
                    card.cases.append(await judge(runs, site, fault))
                    _log.info("%s: %s", fault.id, card.cases[-1].said or "admitted")
                else:
                    card.not_run[fault.id] = "it needs " + ", ".join(sorted(fault.needs - site.has))
        card.traffic = {name: card.traffic.get(name, 0) + times for name, times in traffic.counts.items()}


async def _find(runs: VerifierRuns, site: Site, fault: Fault) -> Case:
    """Switch a mutant on, trigger it, run every check, and take a new baseline."""
    for name in HEALTHY_JOURNAL:
        await CATALOGUE[name].plant(site)
    planted_round = await runs.round(site, [fault])
    await runs.baseline()
    alarms = planted_round.unexplained()
    case = scored(fault, planted_round)
    return replace(case, right=case.right and not alarms, said="; ".join(filter(None, [case.said, *alarms])))


async def _admit(runs: VerifierRuns, site: Site, fault: Fault) -> Case:
    """Plant an unknowable case, run the checks that cannot answer, and take a new baseline."""
    only = tuple(sorted(fault.inconclusive))
    for name in HEALTHY_JOURNAL:
        await CATALOGUE[name].plant(site)
    entered, runs.phase = runs.phase, fault.phase  # some checks apply only in the middle of a move
    try:
        planted_round = await runs.round(site, [fault], only=only, edit=_short)
        await runs.baseline(only=only)
    finally:
        runs.phase = entered
    return admitted(fault, planted_round)


def _short(text: str) -> str:
    """A profile with short time limits on the stores that it has."""
    roles = [role for role in ROLES if role in tomllib.loads(text)["roles"]]
    limits: dict[str, float] = {f"roles.{role}.connect_timeout_s": CONNECT_S for role in roles}
    limits |= {f"roles.{role}.operation_timeout_s": OPERATION_S for role in roles}
    return put_all({**limits, "timing.observe_s": OBSERVE_S})(text)


def _ordered(faults: Sequence[Fault], seed: int) -> list[Fault]:
    chosen = list(faults)
    Random(seed).shuffle(chosen)  # noqa: S311 (an order, not a secret)
    return sorted(chosen, key=lambda fault: fault.id == LAST)
