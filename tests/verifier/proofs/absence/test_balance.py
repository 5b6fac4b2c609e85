"""What counters and records explain of each other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from verifier.proofs.absence.balance import Balance
from verifier.stores.protocols import CounterSnapshot, mark_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


def _snapshot(keys: str, inserts: int = 0, updates: int = 0, deletes: int = 0, **more: Any) -> CounterSnapshot:
    counters = {"insert": inserts, "update": updates, "delete": deletes}
    return CounterSnapshot(AT, counters=counters, known=frozenset(map(mark_of, keys)), **more)


@pytest.mark.parametrize(
    ("now", "changed", "pairs", "unexplained"),
    [
        (_snapshot("ab"), 0, 0, 0),
        (_snapshot("abc", inserts=1), 0, 0, 0),
        (_snapshot("a", deletes=1), 0, 0, 0),
        (_snapshot("ac", inserts=1, deletes=1), 0, 0, 0),
        (_snapshot("ab", inserts=1, deletes=1), 0, 1, 1),
        (_snapshot("ab", inserts=1, deletes=1), 1, 1, 0),
        (_snapshot("ab", inserts=1, updates=1, deletes=1), 1, 1, 1),
        (_snapshot("ab", inserts=3), 0, 0, 0),
        (_snapshot("ab", deletes=3), 0, 0, 0),
    ],
    ids=[
        "nothing",
        "one in",
        "one out",
        "one each",
        "a pair",
        "replaced",
        "updated and a pair",
        "rolled back",
        "deletes rolled back",
    ],
)
def test_pairs(now: CounterSnapshot, changed: int, pairs: int, unexplained: int) -> None:
    """A pair needs an insert and a delete that no record explains; a replaced record explains one."""
    balance = Balance.of(_snapshot("ab"), now, changed)
    assert balance is not None
    assert (balance.pairs, balance.unexplained_pairs(changed)) == (pairs, unexplained)


def test_late_counts_are_no_pairs() -> None:
    """Records that were seen before their counts came are not counted again in the next run."""
    first = Balance.of(_snapshot("ab"), _snapshot("ac"), 0)
    assert first is not None
    assert first.late == {"insert": 1, "delete": 1}
    second = Balance.of(_snapshot("ac", late=first.late), _snapshot("ac", inserts=1, deletes=1), 0)
    assert second is not None
    assert second.pairs == 0


def test_rows_of_a_truncate_or_a_detached_part_explain_no_delete() -> None:
    """They are gone without being counted."""
    before = _snapshot("ab", continuity={"storage": "1"}, parts={"1": "1 0 0 0", "2": "1 0 0 0"})
    emptied = _snapshot("", inserts=1, deletes=1, continuity={"storage": "2"}, parts=before.parts)
    detached = _snapshot("", inserts=1, deletes=1, continuity={"storage": "1"}, parts={"1": "1 0 0 0"})
    for now in (emptied, detached):
        balance = Balance.of(before, now, 0)
        assert balance is not None
        assert balance.pairs == 1


def test_without_counters_or_a_census_there_is_no_balance() -> None:
    """Nothing is known then."""
    assert Balance.of(None, _snapshot("a"), 0) is None
    assert Balance.of(CounterSnapshot(AT), _snapshot("a"), 0) is None
    assert Balance.of(_snapshot("a"), CounterSnapshot(AT, counters={"insert": 1}), 0) is None


def test_a_snapshot_survives_its_stored_form() -> None:
    """Everything that the next run needs comes back."""
    snapshot = _snapshot(
        "ab",
        inside=frozenset({mark_of("a")}),
        others=frozenset({mark_of("c")}),
        states={mark_of("a"): b"1234"},
        names={mark_of("a"): "a"},
        parts={"1": "2 3 4 5"},
        late={"insert": 1},
    )
    assert CounterSnapshot.from_json(snapshot.to_json()) == snapshot
    assert (
        CounterSnapshot.from_json({key: value for key, value in snapshot.to_json().items() if key in _OLD}).inside
        is None
    )


_OLD = {"at", "continuity", "counters", "horizon", "filled", "heartbeats", "known"}
