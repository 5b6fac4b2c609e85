"""Forms of keys show how keys are named and hide the ids in them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.init.key_forms import key_forms


@pytest.mark.parametrize(
    ("keys", "forms"),
    [
        (["im:token:u1", "im:token:u2", "session:9f"], ["im:token:*", "session:*"]),
        (["login/x1", "login/x2"], ["login/*"]),
        (["config"], ["config"]),
        ([f"user:{name}:prefs" for name in "abcdefghijklmnop"], ["user:*:prefs"]),
        (["eyJhbGciOiJIUzI1NiJ9.abc.def"], ["*"]),
        (["a::b1", ""], ["a::*", ""]),
        ([], []),
    ],
)
def test_forms(keys: Sequence[str], forms: Sequence[str]) -> None:
    """Names stay; ids, long words and words with many siblings become a star."""
    assert sorted(form for form, _ in key_forms(keys)) == sorted(forms)


@given(st.lists(st.text(alphabet="ab1:/é\n", max_size=12), max_size=30))
def test_every_key_is_counted_once(keys: list[str]) -> None:
    """The counts add up, whatever the keys are."""
    assert sum(count for _, count in key_forms(keys)) == len(keys)


@given(st.lists(st.uuids(), min_size=1, max_size=20))
def test_ids_never_show(ids: list[object]) -> None:
    """A form never contains a whole id."""
    forms = " ".join(form for form, _ in key_forms([f"session:{name}" for name in ids]))
    assert not any(str(name) in forms for name in ids)
