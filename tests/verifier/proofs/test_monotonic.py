"""Numbers that must not fall: a fall is found and stays found, and what is remembered is bounded."""

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
from verifier.stores.errors import PartialAnswer
from verifier.stores.pool import Stores
from verifier.stores.protocols import Completeness

pytestmark = pytest.mark.anyio

PROFILE = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n')


def fell(name: str, before: int, now: int | None) -> Problem:
    """The problem of a fall."""
    return Problem(summary=f"{name} fell", expected=str(before), actual=str(now))


PROOF = Monotonic(subject=Rows("seqs"), name="name", value="seq", judge=fell, unit="seqs")


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


class Nights(Stores):
    """One relation, its memory, and a run for each night. `later` replaces what look-ups return."""

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
        """The local clock."""

        async def clock() -> datetime:
            return datetime.now(UTC)

        return clock

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All rows in one chunk."""
        yield [{"name": name, "seq": seq} for name, seq in self.rows]

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """By name."""
        rows = self.rows if self.later is None else self.later.items()
        return [{"name": name, "seq": seq} for name, seq in rows if name in values]

    def fingerprint(self, check_id: str, raw_key: str) -> str:
        """As in `Memory`."""
        return raw_key

    def watermark(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """As in `Memory`."""
        return self.remembered.get(slot)

    def positions(self, slot: str) -> list[tuple[Any, str]]:
        """As in `Memory`."""
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
    """The keys of the findings."""
    return [item.key for item in judgement.findings]


async def test_the_first_run_is_inconclusive() -> None:
    """Without a baseline it is inconclusive, and without rows not applicable; the next run holds."""
    assert (await Nights().night()).verdict is Verdict.NOT_APPLICABLE
    nights = Nights()
    assert (await nights.night(("a", 1))).verdict is Verdict.INCONCLUSIVE
    assert (await nights.night(("a", 1))).verdict is Verdict.HOLDS


async def test_a_fall_stays_a_finding_until_the_value_is_reached_again() -> None:
    """The highest value counts, not the last one."""
    nights = Nights()
    await nights.night(("a", 51), ("b", 1), baselining=True)
    assert keys(await nights.night(("a", 40), ("b", 2))) == ["a"]
    assert keys(await nights.night(("a", 50), ("b", 2))) == ["a"]
    assert (await nights.night(("a", 51), ("b", 2))).verdict is Verdict.HOLDS


async def test_a_record_that_is_gone_has_fallen() -> None:
    """It is looked up by name first."""
    nights = Nights()
    await nights.night(("a", 51), ("b", 1), baselining=True)
    judgement = await nights.night(("b", 1))
    assert keys(judgement) == ["a"]
    assert judgement.findings[0].actual == "None"


async def test_a_fall_that_the_second_pass_does_not_see_is_not_a_finding() -> None:
    """The value was low only for a moment."""
    nights = Nights()
    await nights.night(("a", 51), baselining=True)
    nights.later = {"a": 60}
    assert (await nights.night(("a", 1))).verdict is Verdict.HOLDS


async def test_of_two_records_of_one_name_the_higher_value_counts() -> None:
    """Another check reports the duplicate, whichever record comes first."""
    nights = Nights()
    await nights.night(("a", 51), baselining=True)
    assert (await nights.night(("a", 51), ("a", 3))).verdict is Verdict.HOLDS
    assert (await nights.night(("a", 3), ("a", 51))).verdict is Verdict.HOLDS


async def test_what_is_remembered_is_bounded_and_stable() -> None:
    """Of many records the same few are remembered each night, also with new records, and the coverage says how many."""
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


@pytest.mark.parametrize("failure", ["look-ups find nothing", "not answered", "hidden"])
async def test_a_record_that_is_not_found_is_gone_only_if_that_is_known(failure: str) -> None:
    """Otherwise it is neither fallen nor fine. A number that fell visibly is a finding all the same."""
    nights = Nights()
    await nights.night(("a", 51), ("b", 1), ("c", 5), baselining=True)

    async def lookup(column: str, values: Sequence[Any]) -> Sequence[Row]:
        rows = [{"name": name, "seq": seq} for name, seq in nights.rows if name in values]
        if failure == "not answered" and "a" in values:
            raise PartialAnswer("some ids only", rows, ["a"])
        return [] if failure == "look-ups find nothing" else rows

    async def completeness() -> Completeness:
        return Completeness(hidden=("RLS",) if failure == "hidden" else ())

    nights.lookup = lookup  # type: ignore[method-assign]
    nights.completeness = completeness  # type: ignore[attr-defined]
    judgement = await nights.night(("b", 1), ("c", 5))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "not known that they are gone" in judgement.reason
    if failure != "look-ups find nothing":
        assert keys(await nights.night(("b", 1), ("c", 4))) == ["c"]


async def test_values_that_are_no_numbers_are_not_left_out_silently() -> None:
    """A text in a column of numbers is counted."""
    nights = Nights()
    await nights.night(("a", 51), ("b", 1), baselining=True)
    judgement = await nights.night(("a", 51), ("b", "one"))  # type: ignore[arg-type]
    assert judgement.verdict is not Verdict.HOLDS
    assert any("not numbers" in note for note in judgement.notes)
