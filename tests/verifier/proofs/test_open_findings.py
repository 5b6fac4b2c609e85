"""What was seen in a source that reading empties stays a finding."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import pytest

from tests.verifier.proofs.world import World, keys
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.verdict import Verdict
from verifier.proofs import Rule, open_findings
from verifier.stores.errors import Unreachable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


@dataclass
class Tap:
    """A queue that reading empties. `breaks`: the connection breaks after the messages that wait."""

    waiting: list[str]
    key: tuple[str, ...] = ("delivery",)
    label: str = "tap"
    queries: tuple[str, ...] = ()
    breaks: bool = False
    taken: list[Row] = field(default_factory=list)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """The messages that wait, once."""
        self.taken = [{"delivery": name} for name in self.waiting]
        self.waiting = []
        if self.taken:
            yield self.taken
        if self.breaks:
            raise Unreachable("the broker is gone")

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """Those that this run has read."""
        return [row for row in self.taken if row[column] in values]


def judge(row: Row) -> Problem | None:
    """Messages that begin with `bad` are problems."""
    if not row["delivery"].startswith("bad"):
        return None
    return Problem(summary=f"{row['delivery']} was published", expected="good", actual="bad")


PROOF = Rule(subject=Rows("tap", ("delivery",)), judge=judge, unit="pushes", remembers=True)


async def test_a_finding_stays_when_its_message_is_gone() -> None:
    """The queue is empty in the second run, and the check is still violated, also after good messages."""
    tap = Tap(["bad1", "good"])
    world = World(tap=tap)
    first = await world.run(PROOF)
    assert keys(first) == ["bad1"]
    for waiting in ([], ["good"], []):
        tap.waiting = waiting
        again = await world.run(PROOF)
        assert again.verdict is Verdict.VIOLATED
        assert keys(again) == ["bad1"]
        assert again.findings_total == 1
        assert again.findings[0].fingerprint == first.findings[0].fingerprint
        assert again.findings[0].first_seen_at == first.findings[0].first_seen_at
        assert any("baseline --only X-1" in note for note in again.notes)


async def test_a_finding_that_is_seen_again_keeps_the_time_of_the_first() -> None:
    """The same message is published again."""
    tap = Tap(["bad1"])
    world = World(tap=tap)
    first = await world.run(PROOF)
    tap.waiting = ["bad1"]
    await world.run(PROOF)
    last = await world.run(PROOF)
    assert last.findings[0].first_seen_at == first.findings[0].first_seen_at
    assert last.findings[0].confirmed_at > first.findings[0].confirmed_at
    assert last.findings_total == 1


async def test_a_baseline_accepts_what_was_found() -> None:
    """It reads nothing: what waits in the queue is judged by the next run."""
    tap = Tap(["bad1"])
    world = World(tap=tap)
    await world.run(PROOF)
    tap.waiting = ["bad2"]
    assert (await world.run(PROOF, baselining=True)).verdict is Verdict.NOT_APPLICABLE
    assert keys(await world.run(PROOF)) == ["bad2"]


async def test_a_later_reading_may_settle_a_finding() -> None:
    """`settled` is asked after each reading that does not see the finding."""
    proof = replace(PROOF, settled=lambda item: item.judged_since >= 3)
    tap = Tap(["bad1"])
    world = World(tap=tap)
    await world.run(proof)
    tap.waiting = ["good", "good"]
    assert keys(await world.run(proof)) == ["bad1"]
    tap.waiting = ["good"]
    assert (await world.run(proof)).verdict is Verdict.HOLDS


async def test_findings_are_kept_when_the_store_fails_while_it_is_read() -> None:
    """The messages that were taken before are gone, so the run is violated and not merely inconclusive."""
    tap = Tap(["bad1"], breaks=True)
    world = World(tap=tap)
    first = await world.run(PROOF)
    assert (first.verdict, first.partial) == (Verdict.VIOLATED, True)
    assert any("the broker is gone" in note for note in first.notes)
    assert keys(await world.run(PROOF)) == ["bad1"]


async def test_a_recheck_finds_what_is_remembered() -> None:
    """The queue cannot show the message again."""
    tap = Tap(["bad1", "bad2"])
    world = World(tap=tap)
    found = (await world.run(PROOF)).findings[0]
    tap.taken = []
    judgement = await world.run(PROOF, only_key=found.raw_key)
    assert keys(judgement) == [found.key]


async def test_what_is_remembered_is_bounded() -> None:
    """Of further findings the number is kept."""
    with patch.object(open_findings, "OPEN_MAX", 3):
        world = World(tap=Tap([f"bad{number}" for number in range(5)]))
        assert (await world.run(PROOF)).findings_total == 5
        again = await world.run(PROOF)
    assert len(again.findings) == 3
    assert again.findings_total == 5


async def test_what_is_remembered_holds_no_secret() -> None:
    """Texts are redacted before they are stored."""
    token = "ey" + "JhbGciOiJIUzI1NiJ9.eyJ1c2VySUQiOiJ1MSIsImV4cCI6MX0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"

    def reveal(row: Row) -> Problem | None:
        return Problem(summary=f"contains {token}", expected="", actual=token)

    world = World(tap=Tap(["bad1"]))
    await world.run(replace(PROOF, judge=reveal))
    assert token not in json.dumps(world.remembered)
