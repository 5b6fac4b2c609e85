"""PostgreSQL's transaction snapshots, also when 32-bit ids wrap around."""

from hypothesis import given
from hypothesis import strategies as st

from verifier.stores.postgres.snapshot import Snapshot


@given(st.integers(min_value=3, max_value=2**40), st.integers(min_value=0, max_value=2**31 - 2))
def test_a_wrapped_id_is_recovered(newest: int, age: int) -> None:
    """The 64-bit id follows from its lower 32 bits if it is at most two billion transactions old."""
    xid = newest - age
    if xid < 3 or xid & 0xFFFFFFFF < 3:
        return
    assert Snapshot(newest, newest, frozenset()).full_xid(xid & 0xFFFFFFFF) == xid


def test_transactions_in_flight_are_not_visible() -> None:
    """A transaction that ran while the snapshot was taken counts as later, also with a smaller id."""
    snapshot = Snapshot.parse("100:105:101,103")
    assert [xid for xid in range(98, 108) if not snapshot.saw(xid)] == [101, 103, 105, 106, 107]


def test_a_snapshot_without_transactions_in_flight() -> None:
    """Everything below xmax is visible."""
    snapshot = Snapshot.parse("100:100:")
    assert snapshot.saw(99)
    assert not snapshot.saw(100)
