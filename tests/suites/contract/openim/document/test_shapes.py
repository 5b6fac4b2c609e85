"""Shapes of JSON values."""

from __future__ import annotations

import pytest

from suites.contract.openim.document.shapes import Shape


def test_a_shape_is_the_union_of_its_examples() -> None:
    """A key that is missing in one example is not required, and a value that is null in one may be null."""
    shape = Shape()
    shape.add({"a": 1, "b": None})
    shape.add({"a": 2, "b": "x", "c": [True]})
    assert shape.required == ["a", "b"]
    assert {key: one.kinds for key, one in shape.fields.items()} == {
        "a": {"integer"},
        "b": {"null", "string"},
        "c": {"array"},
    }


def test_ids_are_not_accepted_as_names_of_fields() -> None:
    """An object whose keys are ids must be declared as a map."""
    with pytest.raises(ValueError, match="add the name of its map"):
        Shape().add({"si_{P}a_{P}b": 1})
