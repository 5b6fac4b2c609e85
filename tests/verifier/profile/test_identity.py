"""The identity rules map user ids to OpenIM ids and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifier.profile.identity import Identity


@given(st.uuids())
def test_stripped_uuids_map_back(user_id: object) -> None:
    """The OpenIM id of a UUID maps back to it."""
    identity = Identity(kind="strip_dashes")
    assert identity.from_openim(identity.to_openim(user_id)) == str(user_id)


@given(st.text(min_size=1))
def test_prefixed_ids_map_back(user_id: str) -> None:
    """The prefix is removed once; an id without it maps to none."""
    identity = Identity(kind="prefix", prefix="app_")
    assert identity.from_openim(identity.to_openim(user_id)) == user_id
    assert identity.from_openim("other") is None
