"""The JSON Schema of the profile agrees with the model: what one accepts the other does, and both refuse a misspelt key."""

from __future__ import annotations

import json
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from fixtures.services.base import REPO_ROOT
from tests.verifier.profile.test_load import ENVIRONMENT
from verifier.profile import Profile, ProfileError, load_profile, parse_profile
from verifier.profile.schema import profile_schema
from verifier.profile.template import SCHEMA, CanaryValues, RoleUrls, TemplateValues, render_template

EXAMPLE = REPO_ROOT / "examples/stack.toml"
TEXTS = {
    "template": render_template(TemplateValues(stack="acme")),
    "template with everything": render_template(
        TemplateValues(
            stack="acme",
            roles=RoleUrls(openim_mongo="${OPENIM_MONGO_URL}", gateway="https://chat"),
            canary=CanaryValues(journal="canary.jsonl", adapter="a:B", users=("a", "b"), options={"im_websocket": ""}),
            openim_expected={"share.yml": {"multiLogin.policy": 1}},
        )
    ),
    "example": EXAMPLE.read_text(encoding="utf-8"),
    "second platform": (REPO_ROOT / "fixtures/blueprints/second_platform.toml").read_text(encoding="utf-8"),
}


def faults(text: str) -> list[str]:
    """What the schema finds wrong with a file."""

    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date | datetime) else value

    document = json.loads(json.dumps(tomllib.loads(text), default=plain))
    validator = jsonschema_rs.Draft7Validator(profile_schema(), validate_formats=True)
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_shipped_profiles_are_valid(name: str) -> None:
    """The template, the example and the profile of the second shape."""
    assert faults(TEXTS[name]) == []


@pytest.mark.parametrize(
    "change",
    [
        ("settle_s =", "setle_s ="),
        ('phase = "baseline"', 'phase = "thaw"'),
        ("settle_s = 5", "settle_s = -5"),
        ("settle_s = 5", 'settle_s = "five"'),
        ('columns.bio = "bio"', 'columns.bio = { colum = "bio" }'),
        ("[media]", '[[waivers]]\ncheck = "USR-01"\nowner = "o"\nreason = "r"\nexpires = "soon"\n[media]'),
        ("[media]", '[[waivers]]\ncheck = "USR-01"\nowner = "o"\nreason = "r"\n[media]'),
        ('key = "report_id"', ""),
        ("[roles.user_db]", "[roles.users_db]"),
    ],
)
def test_what_the_profile_refuses_the_schema_refuses(change: tuple[str, str]) -> None:
    """A misspelt key, an unknown value, a number out of range, a missing setting."""
    assert change[0] in TEXTS["template"]
    text = TEXTS["template"].replace(*change, 1)
    assert faults(text)
    with pytest.raises(ProfileError):
        parse_profile(text, environment=ENVIRONMENT)


def test_references_may_replace_any_value() -> None:
    """A number or an enumerated value may come from the environment, as it does when the profile is read."""
    text = TEXTS["template"].replace("settle_s = 5", 'settle_s = "${SETTLE}"')
    text = text.replace('phase = "baseline"', 'phase = "${PHASE}"')
    assert faults(text) == []
    profile = parse_profile(text, environment=ENVIRONMENT | {"SETTLE": "7", "PHASE": "baseline"})
    assert profile.timing.settle_s == 7


def test_the_example_is_complete_and_loads(tmp_path: Path) -> None:
    """`load_profile` accepts it once its variables are set, and every table of a profile appears in it."""
    environment = ENVIRONMENT | {
        "VERIFIER_HISTORY_URL": f"sqlite:///{tmp_path}/history.db",
        "OPENIM_MONGO_URL": "mongodb://u:s3cret@mongo",
    }
    profile = load_profile(EXAMPLE, environment=environment)
    assert profile.phase.value == "cutover"
    assert "s3cret" not in repr(profile)
    assert set(Profile.model_fields) - set(tomllib.loads(TEXTS["example"])) == {"pending"}


def test_files_name_the_schema_in_their_first_line() -> None:
    """The form that taplo and VS Code read; the path of the example leads to the committed schema."""
    first = {name: TEXTS[name].partition("\n")[0] for name in ("template", "example")}
    assert first["template"] == f"#:schema {SCHEMA}"
    directive, _, path = first["example"].partition(" ")
    assert directive == "#:schema"
    assert (EXAMPLE.parent / path).resolve() == (REPO_ROOT / SCHEMA).resolve()
