"""The reference of relations names what the checks read."""

from __future__ import annotations

import tomllib

from verifier.commands.reference_relations import readers
from verifier.profile.logical import RELATIONS
from verifier.profile.template import TemplateValues, render_template


def test_every_column_that_a_check_reads_is_described() -> None:
    """What checks need or use is in the catalogue of logical relations."""
    for relation, columns in readers().items():
        assert set(columns) - {""} <= set(RELATIONS[relation].columns), relation


def test_the_template_maps_described_relations() -> None:
    """The template has the same relations, and no column that is not described."""
    mapped = tomllib.loads(render_template(TemplateValues(stack="acme")))["relations"]
    assert set(RELATIONS) - set(mapped) == {"cohorts", "conversation_members"}  # the platform does not move in cohorts
    assert set(mapped) <= set(RELATIONS)
    for name, relation in mapped.items():
        assert set(relation["columns"]) <= set(RELATIONS[name].columns), name


def test_needed_and_optional_columns_are_distinguished() -> None:
    """USR-01 needs the time of the last login; TOK-01 uses the time of a session if it is mapped."""
    found = readers()
    assert "USR-01" in found["users"]["last_login_at"].needed_by
    assert "TOK-01" in found["sessions"]["created_at"].used_by
    assert "TOK-01" in found["im_tokens"]["openim_user_id"].needed_by
    assert "CNV-01" in found["scope"]["since"].needed_by
