"""What happens to the three worlds of these tests, in order. Each is told once for a module; its tests look at the rounds.

One memory goes through a story, as it does through the nights of a real stack: what a run saw is the baseline of the next. Look-alikes
come before breaches, because what was broken stays broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from random import Random

import httpx

from fixtures.blueprints import steady, worlds
from fixtures.blueprints.population import Population
from fixtures.faults import CATALOGUE, Fault, Site
from fixtures.faults.catalogue import FaultPhase, Kind
from fixtures.stack import Stack, World
from fixtures.world import WorldConfig
from suites.selftest.checks.judging import FLUSH_S, Round, Watch

USERS = 20
FEW_USERS = 8
SEED = 1
_LATE_S = 4.0
"""A busy machine hands counters in later than a quiet one; in a round of silence each would pass for life."""

HEALTHY_JOURNAL = (
    "GW-01/answered",
    "KEEP-01/replay-refused",
    "GW-01/websocket-connected",
    "MQ-05/two-connections",
    "MSG-04/pushed-and-read",
    "WS-01/refused",
    "MQ-04/alert-that-talks",
    "TOK-07/both-live",
    "WHK-01/all-told",
    "MSG-05/kept",
)
"""What the canary of a healthy stack records: look-alikes that plant nothing but their lines in a journal."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How a story is told.

    Attributes:
        seed: of the people and of what they do; with `shuffled` also of the order in which faults are planted.
        steady: legitimate traffic goes on in the background, but for the rounds that prove its absence.
        only: the faults to plant, by id; empty: all.
    """

    seed: int = SEED
    shuffled: bool = False
    steady: bool = False
    only: frozenset[str] = frozenset()


PLAIN = Telling()


@dataclass(kw_only=True)
class Story:
    """The rounds of a world by name, and what it was made without."""

    rounds: dict[str, Round] = field(default_factory=dict)
    has: frozenset[str] = frozenset()
    broker_missing: str = ""
    traffic: dict[str, int] = field(default_factory=dict)

    def of(self, fault: Fault) -> Round | None:
        """The round in which a fault was planted; None where the world lacks what it needs."""
        found = [item for item in self.rounds.values() if fault.id in item.marks and fault in item.faults]
        return found[-1] if found else None


def tell_of_the_cutover(stack: Stack, telling: Telling = PLAIN) -> Story:
    """Half of the chats are OpenIM's."""
    with stack.new_world() as world:
        population = asyncio.run(worlds.mid_migration(world.config, users=USERS, seed=telling.seed))
        return asyncio.run(_cutover(world, population, stack.broker_missing, telling))


def tell_of_openims_store(stack: Stack, telling: Telling = PLAIN) -> Story:
    """A part of the chats is OpenIM's, and the verifier may read the database in which OpenIM keeps them."""
    with stack.new_world(openim_store="mongo") as world:
        population = asyncio.run(worlds.mid_migration(world.config, users=FEW_USERS, seed=telling.seed))
        return asyncio.run(_stored(world, population, stack.broker_missing, telling))


def tell_of_the_freeze(stack: Stack, telling: Telling = PLAIN) -> Story:
    """All but support is OpenIM's; in the end the chat queue goes, too."""
    with stack.new_world() as world:
        population = asyncio.run(worlds.mid_migration(world.config, users=USERS, seed=telling.seed))
        return asyncio.run(_frozen(world, population, stack.broker_missing, telling))


@asynccontextmanager
async def _traffic(
    config: WorldConfig, people: Population | None, telling: Telling, story: Story
) -> AsyncIterator[steady.Steady | None]:
    """The background, where it was asked for; what it did is noted in the story."""
    if people is None:
        yield None
        return
    async with steady.flowing(config, people, seed=telling.seed) as flow:
        yield flow
    story.traffic = dict(flow.made)


async def _crowd(config: WorldConfig, telling: Telling) -> Population | None:
    return await steady.crowd(config, seed=telling.seed) if telling.steady else None


class _Teller:
    def __init__(
        self,
        phase: FaultPhase,
        site: Site,
        watch: Watch,
        story: Story,
        telling: Telling = PLAIN,
        flow: steady.Steady | None = None,
    ) -> None:
        self.phase = phase
        self.site = site
        self.watch = watch
        self.story = story
        self.telling = telling
        self.flow = flow

    def faults(self, kind: Kind, batch: str) -> list[Fault]:
        chosen = CATALOGUE.select(self.phase, kind, batch=batch, having=self.site.has)
        if self.telling.only:
            chosen = [fault for fault in chosen if fault.id in self.telling.only]
        if self.telling.shuffled:
            Random(self.telling.seed).shuffle(chosen)  # noqa: S311 (an order, not a secret)
        return chosen

    async def clean(self) -> None:
        """Nothing but a healthy journal."""
        journal = [CATALOGUE[name] for name in HEALTHY_JOURNAL]
        self.story.rounds[f"{self.phase} clean"] = await self.watch.round(self.site, journal)

    async def round(
        self, kind: Kind, batch: str = "common", *, only: tuple[str, ...] = (), quiet: bool = False
    ) -> None:
        """One round; `quiet`: the traffic pauses, because the round's faults are that nothing happens."""
        faults = self.faults(kind, batch)
        if self.telling.only and not faults:
            return
        async with self.flow.hold() if quiet and self.flow else nullcontext():
            if quiet:
                # What was done until now must be told, and be of the time before this round.
                await asyncio.sleep(FLUSH_S + _LATE_S)
                await self.watch.baseline(only=only)
            self.story.rounds[f"{self.phase} {kind} {batch}"] = await self.watch.round(self.site, faults, only=only)


async def _cutover(world: World, population: Population, broker_missing: str, telling: Telling) -> Story:
    async with Site.open(world.config, population, world.admin) as site:
        story = Story(has=site.has, broker_missing=broker_missing)
        people = await _crowd(world.config, telling)
        async with _traffic(world.config, people, telling, story) as flow:
            await _cutover_rounds(_Teller("cutover", site, Watch(world.config), story, telling, flow))
        return story


async def _cutover_rounds(tell: _Teller) -> None:
    with tell.watch as watch:
        watch.enter("cutover")
        await watch.baseline()
        await tell.clean()
        await tell.round("lookalike")
        await tell.round("lookalike", "mirrored", only=("KEEP-03",))
        await tell.round("lookalike", "login-response", only=("GW-01",))
        await tell.round("lookalike", "refused-for-cause", only=("GW-01",))
        await tell.round("lookalike", "missing-column", only=("MED-01", "META-01"))
        await tell.round("lookalike", "odd-ids", only=("USR-04",))
        await _declared_otherwise(tell)
        await tell.round("breach", "odd-ids", only=("USR-03", "USR-04"))
        await tell.round("breach", "default-secret", only=("TOK-08",))
        await tell.round("breach", "writing-profile", only=("MED-01", "META-01"))
        await tell.round("breach")
        await tell.round("breach", "unkeyed", only=("GRP-03",))


async def _stored(world: World, population: Population, broker_missing: str, telling: Telling) -> Story:
    async with Site.open(world.config, population, world.admin) as site:
        story = Story(has=site.has, broker_missing=broker_missing)
        people = await _crowd(world.config, telling)
        async with _traffic(world.config, people, telling, story) as flow:
            tell = _Teller("stored", site, Watch(world.config), story, telling, flow)
            with tell.watch as watch:
                watch.enter("cutover")
                await watch.baseline()
                await tell.clean()
                await tell.round("lookalike")
                await tell.round("lookalike", "imported", only=("MSG-06", "MSG-07"))
                await tell.round("breach", "imported", only=("MSG-06", "MSG-07"))
                await tell.round("breach", "mapping", only=("GRP-06",))
                await tell.round("breach")
        return story


async def _frozen(world: World, population: Population, broker_missing: str, telling: Telling) -> Story:
    people = await _crowd(world.config, telling)
    await worlds.frozen(world.config, population, seed=telling.seed)
    async with Site.open(world.config, population, world.admin) as site:
        story = Story(has=site.has, broker_missing=broker_missing)
        async with _traffic(world.config, people, telling, story) as flow:
            await _frozen_rounds(_Teller("frozen", site, Watch(world.config), story, telling, flow))
        return story


async def _frozen_rounds(tell: _Teller) -> None:
    with tell.watch as watch:
        watch.enter("frozen")
        await asyncio.sleep(FLUSH_S)  # once, where the baseline would wait for each table by itself
        await watch.baseline()
        await tell.clean()
        await tell.round("breach", "silence", only=("KEEP-02", "RPT-02"), quiet=True)
        await tell.round("breach", "counters", quiet=True)  # these count whatever is written
        if counted := tell.faults("breach", "counters"):
            await watch.baseline(only=tuple(sorted(_expected(counted))))
        await tell.round("lookalike")
        await tell.round("lookalike", "layer", only=("CNV",))
        await tell.round("lookalike", "pattern", only=("PUB-02",))
        await tell.round("lookalike", "copies", only=("CNV-06",))
        await tell.round("breach")
        if "broker" in tell.site.has:
            await _decommission(tell)


async def _declared_otherwise(tell: _Teller) -> None:
    """What the profile declares of OpenIM is changed, rather than OpenIM."""
    await tell.round("lookalike", "config-as-declared", only=("CFG-01",))
    await tell.round("lookalike", "config-unreadable", only=("CFG-01",))
    await tell.round("breach", "other-config", only=("CFG-01",))
    await tell.round("breach", "other-file", only=("CFG-01",))
    await tell.round("lookalike", "late-reader", only=("LAG-01",))
    await tell.round("lookalike", "ends-first", only=("TOK-07",))
    await tell.round("breach", "ends-first", only=("TOK-07",))
    await tell.round("lookalike", "second-device-unknown", only=("TOK-07",))
    await tell.round("lookalike", "hooks-unknown", only=("WHK-01",))


async def _decommission(before: _Teller) -> None:
    """The chat queue is deleted; then a service that did not know brings it back."""
    site, watch, story = before.site, before.watch, before.story
    tell = _Teller("decommissioned", site, watch, story, before.telling, before.flow)
    faults = [*tell.faults("lookalike", "common"), *tell.faults("breach", "common")]
    if not faults:
        return
    # Made by faults of the rounds before, as far as those were told.
    for path in (
        f"/policies/{site.vhost}/chat-ttl",
        f"/policies/{site.vhost}/everything",
        f"/queues/{site.vhost}/otp.retry",
    ):
        try:
            await site.management("DELETE", path)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
    await site.operator.decommission()
    watch.enter("decommissioned")
    await watch.baseline(only=("MQ",))
    story.rounds["decommissioned"] = await watch.round(site, faults, only=("MQ",))


def _expected(faults: list[Fault]) -> set[str]:
    return {check for fault in faults for check in fault.expects}
