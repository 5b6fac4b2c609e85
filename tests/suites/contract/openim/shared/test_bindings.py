"""Bindings are one to one, and fill recorded values with those of a replay."""

from __future__ import annotations

from suites.contract.openim.shared.bindings import Bindings, replacer


def test_a_value_is_bound_to_one_other_value() -> None:
    """Binding the same pair again succeeds; either value with another partner is refused and changes nothing."""
    bindings = Bindings()
    assert bindings.bind("a", "1")
    assert bindings.bind("a", "1")
    assert not bindings.bind("a", "2")
    assert not bindings.bind("b", "1")
    assert (bindings.actual, bindings.recorded) == ({"a": "1"}, {"1": "a"})


def test_an_assignment_replaces_a_binding() -> None:
    """The earlier value is not bound any more."""
    bindings = Bindings({"a": "1"})
    bindings.assign("a", "2")
    assert (bindings.actual, bindings.recorded) == ({"a": "2"}, {"2": "a"})
    assert bindings.bind("b", "1")


def test_values_are_filled_at_any_depth() -> None:
    """Strings and keys are filled, other values stay."""
    bindings = Bindings({"ann": "q_ann"})
    assert bindings.fill({"si_ann": ["ann", 1, None, True]}) == {"si_q_ann": ["q_ann", 1, None, True]}


def test_longer_keys_are_replaced_first() -> None:
    """A key that begins with another key is not split; without keys nothing is replaced."""
    assert replacer({"an": "1", "ann": "2"})("ann an") == "2 1"
    assert replacer({})("ann") == "ann"
