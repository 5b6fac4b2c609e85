"""Numbers that only rise: a fall is found and stays found, a rise is not remembered away, and what is remembered is bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest

from verifier.checks.registry import Check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.model.verdict import Judgement, Verdict
from verifier.profile import parse_profile
from verifier.proofs import Monotonic, monotonic
from verifier.proofs.context import Context
from verifier.proofs.scope import Scope
from verifier.stores.pool import Stores

pytestmark = pytest.mark.anyio

PROFILE = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n')


def fell(name: str, before: int, now: int | None) -> Problem:
    """What is wrong."""
    return Problem(summary=f"{name} fell", expected=str(before), actual=str(now))


PROOF = Monotonic(subject=Rows("seqs"), name="name", value="seq", judge=fell, unit="seqs")


@pytest.fixture
def anyio_backend() -> str:
    """The loop that the verifier runs on."""
    return "asyncio"


class Nights(Stores):
    """One relation, one memory, and a run for each night. `later`: what look-ups tell, where that is something else."""

    label, key, queries = "seqs", ("name",), ()

    def __init__(self) -> None:
        super().__init__(PROFILE)
        self.rows: list[tuple[str, int]] = []
        self.later: dict[str, int] | None = None
        self.remembered: dict[str, Mapping[str, Any]] = {}

    async def source(self, rows: Rows) -> Any:
        """This object."""
        return self

    async def clock_of(self, relation: str) -> Any:
        """Ours."""

        async def clock() -> datetime:
            return datetime.now(UTC)

        return clock

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All at once."""
        yield [{"name": name, "seq": seq} for name, seq in self.rows]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """By name."""
        rows = self.rows if self.later is None else self.later.items()
        return [{"name": name, "seq": seq} for name, seq in rows if name in values]

    def fingerprint(self, check_id: str, raw_key: str) -> str:
        """As a memory."""
        return raw_key

    def watermark(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """As a memory."""
        return self.remembered.get(slot)

    def positions(self, slot: str) -> list[tuple[Any, str]]:
        """As a memory."""
        return []

    async def night(self, *rows: tuple[str, int], baselining: bool = False) -> Judgement:
        """One run over these rows."""
        self.rows = list(rows)
        item = Check(
            id="X-SEQ", title="t", severity=Severity.HIGH, phase=Phase.BASELINE, until=Phase.DECOMMISSIONED, row="r",
            why="w", build=lambda profile: PROOF,
        )  # fmt: skip
        context = Context(
            check_id=item.id, severity=item.severity, profile=PROFILE, phase=Phase.BASELINE, stores=self, scope=Scope(PROFILE, Phase.BASELINE, self),
            memory=self, progress=lambda done, total, unit: None, baselining=baselining,
        )  # fmt: skip
        judgement = await PROOF.execute(context)
        self.remembered.update(context.watermarks)
        return judgement


def keys(judgement: Judgement) -> list[str]:
    """What was found."""
    return [item.key for item in judgement.findings]


async def test_the_first_night_knows_nothing() -> None:
    """Without a baseline it is inconclusive, over nothing it does not apply; with one, it holds."""
    assert (await Nights().night()).verdict is Verdict.NOT_APPLICABLE
    nights = Nights()
    assert (await nights.night(("a", 1))).verdict is Verdict.INCONCLUSIVE
    assert (await nights.night(("a", 1))).verdict is Verdict.HOLDS


async def test_a_fall_stays_found_until_it_is_made_good() -> None:
    """The highest value counts, not the last one; above it, all is well again."""
    nights = Nights()
    await nights.night(("a", 51), ("b", 1), baselining=True)
    assert keys(await nights.night(("a", 40), ("b", 2))) == ["a"]
    assert keys(await nights.night(("a", 50), ("b", 2))) == ["a"]
    assert (await nights.night(("a", 51), ("b", 2))).verdict is Verdict.HOLDS


async def test_a_record_that_is_gone_has_fallen() -> None:
    """It is asked for by name before that is said."""
    nights = Nights()
    await nights.night(("a", 51), ("b", 1), baselining=True)
    judgement = await nights.night(("b", 1))
    assert keys(judgement) == ["a"]
    assert judgement.findings[0].actual == "None"


async def test_a_second_look_may_heal_it() -> None:
    """A fall that the second look does not see was a moment."""
    nights = Nights()
    await nights.night(("a", 51), baselining=True)
    nights.later = {"a": 60}
    assert (await nights.night(("a", 1))).verdict is Verdict.HOLDS


async def test_two_records_of_one_name_are_the_higher_one() -> None:
    """A double is another check's finding, whichever comes first."""
    nights = Nights()
    await nights.night(("a", 51), baselining=True)
    assert (await nights.night(("a", 51), ("a", 3))).verdict is Verdict.HOLDS
    assert (await nights.night(("a", 3), ("a", 51))).verdict is Verdict.HOLDS


async def test_what_is_remembered_is_bounded_and_stays_the_same() -> None:
    """Of many records the same few are remembered each night, newcomers or not, and coverage says how many."""
    with patch.object(monotonic, "REMEMBERED_MAX", 10):
        nights = Nights()
        many = [(f"name-{number}", 5) for number in range(500)]
        await nights.night(*many, baselining=True)
        first = set(nights.remembered["0:seqs"]["highest"])
        assert len(first) == 10
        judgement = await nights.night(*many, *((f"new-{number}", 1) for number in range(5)))
        assert judgement.coverage[0].seen == 10
        assert judgement.coverage[0].total == 505
        kept = set(nights.remembered["0:seqs"]["highest"])
        assert {name for name in kept if name.startswith("name")} <= first
