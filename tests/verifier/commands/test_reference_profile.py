"""docs/profile.md describes every setting, and its examples are valid."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from verifier.checks.catalogue import load_checks
from verifier.commands.reference_profile import profile_page, settings, table_of, toml_value, type_text, unit_of
from verifier.profile.models import CHECK_ID

EXAMPLES = [item for item in settings() if item[2].examples]
SHORT_FORMS = {("relations.NAME", "key"), ("relations.NAME", "columns")}
"""Their section accepts more than their type does; the template uses both."""
SETTINGS = [pytest.param(path, name, field, id=f"{path}.{name}") for path, name, field in settings()]


@pytest.mark.parametrize(("path", "name", "field"), SETTINGS)
def test_every_setting_is_described(path: str, name: str, field: FieldInfo) -> None:
    """A setting has a description; a plain value has an example, and a number a unit."""
    assert field.description
    if table_of(field.annotation) is None:
        assert field.examples
    if "number" in type_text(field.annotation) or "integer" in type_text(field.annotation).split(" or "):
        assert unit_of(path, name, field)


@pytest.mark.parametrize(("path", "name", "field"), [item for item in EXAMPLES if item[:2] not in SHORT_FORMS])
def test_examples_are_valid(path: str, name: str, field: FieldInfo) -> None:
    """Each setting accepts its own examples."""
    kind: Any = Annotated[field.annotation, field]
    for example in field.examples or ():
        TypeAdapter(kind).validate_python(example)


def test_named_invariants_exist() -> None:
    """Each ID on the page is that of a shipped invariant."""
    known = {item.id for item in load_checks()}
    words = {word.strip("().,;:*`[]") for word in profile_page().split()}
    assert {word for word in words if CHECK_ID.match(word)} <= known


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (86_400, "86_400"),
        (True, "true"),
        ('say "a"', r'"say \"a\""'),
        (("a", "b"), '["a", "b"]'),
        ({"share.yml": {"a.b": 1}}, '{ "share.yml" = { "a.b" = 1 } }'),
        ({}, "{}"),
    ],
)
def test_values_are_written_as_toml(value: object, text: str) -> None:
    """One line that TOML reads back."""
    assert toml_value(value) == text
