"""The one model of the options: every field is an option of the locustfile and a key of a plan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from fixtures.services.base import REPO_ROOT
from load.config import Option, RunOptions, SettingsError, Traffic, options_of
from load.experiments.plans import LoadPlan, read_plan

NOT_IN_PLANS = {"credentials"}
"""Secrets come from the environment or the profile."""
ONLY_IN_PLANS = {"thresholds"}
"""What a run must reach is compared after the run."""


_PARSE = """
import json, sys
from locust import argument_parser
from load.config import add_options
parser = argument_parser.get_empty_argument_parser()
argument_parser.setup_parser_arguments(parser)
add_options(parser)
print(json.dumps(vars(parser.parse_args(sys.argv[1:])), default=str))
"""


def _parsed(*arguments: str) -> dict[str, Any]:
    """What locust's parser makes of these arguments. In another process, as locust patches the one that imports it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENIM_")}
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPO_ROOT,
        env=environment,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_field_is_an_option_with_its_default() -> None:
    """The parsed options without arguments are the model's defaults."""
    parsed = _parsed()
    for one in options_of(RunOptions):
        assert one.dest in parsed, one.flag
    assert RunOptions.parse(parsed) == RunOptions()


def test_every_field_is_a_key_of_a_plan_or_excluded() -> None:
    """Apart from those sections the options of a plan are those of the command line, and what locust declares."""
    keys = {(one.section, one.name) for one in options_of(LoadPlan)}
    fields = {(one.section, one.name) for one in options_of(RunOptions)}
    assert {field for field in fields if field[0] not in NOT_IN_PLANS} <= keys
    more = {(one.section, one.name) for one in options_of(LoadPlan) if one.of_locust and one.section == "load"}
    assert {key for key in keys - fields if key[0] not in ONLY_IN_PLANS} == more


def test_every_option_is_described() -> None:
    """The help of an option has a description; numbers state their bounds or their default."""
    for one in options_of(RunOptions):
        assert one.field.description, one.flag


def test_a_plans_command_gives_its_options_back() -> None:
    """What a plan says arrives at the locustfile unchanged."""
    plan = LoadPlan.model_validate(
        {
            "target": {"host": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:2"},
            "load": {"users": 7, "duration_s": 9, "rate": 2.5, "gzip": True, "outage_share": 0.25, "scenario": "mixed"},
            "abort": {"after_s": 3, "backlog_most": 5},
            "after": {"verify": False},
            "out_dir": "somewhere",
        }
    )
    arguments = plan.command(master_port=4)
    parsed = _parsed(*arguments[arguments.index("-f") :])
    options = RunOptions.parse(parsed)
    assert options.load == Traffic.model_validate(plan.load.model_dump(include=set(Traffic.model_fields)))
    assert options.target.model_dump() == plan.target.model_dump()
    assert (options.abort, options.after, options.out_dir) == (plan.abort, plan.after, plan.out_dir)
    assert (parsed["num_users"], parsed["run_time"], parsed["spawn_rate"]) == (7, 9, 100.0)
    assert (parsed["master_port"], parsed["master_bind_port"], parsed["headless"]) == (4, 4, True)


def test_the_example_plan_is_valid_and_shows_every_table() -> None:
    """`examples/load-plan.toml` is read like any plan."""
    path = REPO_ROOT / "examples" / "load-plan.toml"
    plan = read_plan(path)
    assert plan.load.users > 0
    assert set(tomllib.loads(path.read_text())) == set(LoadPlan.model_fields)


def _row(one: Option) -> str:
    """The row of an option in `docs/load.md`: flag, key, default with unit, and description with bounds and choices."""
    default = "" if one.kind is bool or one.field.default in (None, "") else str(one.field.default).removesuffix(".0")
    key = "" if one.section in NOT_IN_PLANS else f"`{one.name}`"
    parts = [one.field.description or "", one.bounds]
    if get_origin(one.kind) is Literal:
        parts.append("one of " + ", ".join(f"`{choice}`" for choice in get_args(one.kind)))
    meaning = ". ".join(part[0].upper() + part[1:] for part in parts if part)
    return f"| `{one.flag}` | {key} | {f'{default} {one.unit}'.strip() if default else ''} | {meaning} |"


def test_the_documentation_describes_every_option() -> None:
    """`docs/load.md` has a row for each option, made from the model."""
    text = Path(REPO_ROOT / "docs" / "load.md").read_text()
    assert [row for one in options_of(RunOptions) if (row := _row(one)) not in text] == []


def test_a_wrong_value_is_refused_with_its_flag() -> None:
    """The web form sends texts; what is not a number is refused like a number out of bounds."""
    assert RunOptions.parse({"abort_backlog_most": "5"}).abort.backlog_most == 5
    assert RunOptions.parse({"abort_backlog_most": ""}).abort.backlog_most is None
    with pytest.raises(SettingsError, match="--abort-backlog-most x: "):
        RunOptions.parse({"abort_backlog_most": "x"})
    with pytest.raises(SettingsError, match="--abort-error-share-most 2: must be at least 0 and at most 1"):
        RunOptions.parse({"abort_error_share_most": 2})
