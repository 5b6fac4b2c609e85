"""What a canary's journal showed stays a finding until another journal can be judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.verifier.proofs.world import World, keys
from verifier.judges.judgement import JournalJudgement
from verifier.judges.operation import Operation
from verifier.model.invariant import Problem
from verifier.model.verdict import Verdict
from verifier.profile import parse_profile
from verifier.proofs import Delivery, delivery

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


PROFILE = parse_profile(
    'stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n[canary]\njournal = "canary.jsonl"\n'
)
HEALTHY = JournalJudgement(problems=(), seen=3, total=3, unit="messages")
LOST = replace(HEALTHY, problems=(Problem(key="m1", summary="m1 is lost", expected="delivered", actual="not"),))
UNKNOWN = replace(HEALTHY, seen=0, unknown=3)


class _Reader:
    """A journal that was written now."""

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.last_at = datetime.now(UTC)

    def __iter__(self) -> Iterator[Operation]:
        return iter(())


@pytest.fixture(autouse=True)
def _journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "find_journal", lambda path: path)
    monkeypatch.setattr(delivery, "JournalReader", _Reader)


def judging(judged: JournalJudgement | None) -> Delivery:
    """A proof whose journal gives this."""
    return Delivery(judge=lambda operations: judged)


@pytest.mark.parametrize("later", [None, UNKNOWN], ids=["nothing of its kind", "unknown"])
async def test_a_journal_that_cannot_be_judged_settles_nothing(later: JournalJudgement | None) -> None:
    """The loss of the night before is not forgotten because the canary did not run to its end."""
    world = World(PROFILE)
    assert keys(await world.run(judging(LOST))) == ["m1"]
    for _ in range(2):
        judgement = await world.run(judging(later))
        assert (judgement.verdict, judgement.partial, keys(judgement)) == (Verdict.VIOLATED, True, ["m1"])
    assert (await world.run(judging(HEALTHY))).verdict is Verdict.HOLDS
    assert (await world.run(judging(later))).verdict is not Verdict.VIOLATED


async def test_a_baseline_accepts_what_a_journal_showed() -> None:
    """And without open findings there is nothing to remember."""
    world = World(PROFILE)
    await world.run(judging(None), baselining=True)
    assert world.remembered == {}
    await world.run(judging(LOST))
    await world.run(judging(None), baselining=True)
    assert (await world.run(judging(None))).verdict is Verdict.NOT_APPLICABLE
