"""What a counter snapshot knows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from verifier.stores.protocols import CounterSnapshot, mark_of

A, B, C = map(mark_of, "abc")


@pytest.mark.parametrize(
    ("known", "others"),
    [(frozenset({A}), frozenset({B})), (frozenset({A, B}), frozenset()), (None, frozenset({A, B}))],
    ids=["both", "all in the relation", "no census of the relation"],
)
def test_a_snapshot_has_the_marks_of_records_in_and_beside_the_relation(
    known: frozenset[bytes] | None, others: frozenset[bytes]
) -> None:
    """The same question answered for one mark and for all of them."""
    snapshot = CounterSnapshot(datetime.now(UTC), {}, known=known, others=others)
    assert snapshot.marks == {A, B}
    assert [snapshot.has(mark) for mark in (A, B, C, None)] == [True, True, False, False]
