"""The example pipelines are valid YAML and call commands and options that exist."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.test_references import options_of

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> dict[Any, Any]:
    """One of the example files."""
    document = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def github_commands() -> list[str]:
    """What the GitHub job runs."""
    return [step["run"] for step in load("github-actions.yml")["jobs"]["verify"]["steps"] if "run" in step]


def gitlab_commands() -> list[str]:
    """What the GitLab job runs."""
    return list(load("gitlab-ci.yml")["consistency"]["script"])


@pytest.mark.parametrize("commands", [github_commands(), gitlab_commands()], ids=["github", "gitlab"])
def test_commands_and_options_exist(commands: list[str]) -> None:
    """Each `verifier` line uses options of the command line; the requirements file is there."""
    verifier = [words for words in map(shlex.split, commands) if words[0] == "verifier"]
    assert [words[1] for words in verifier] == ["doctor", "run"]
    for words in verifier:
        assert {word for word in words[2:] if word.startswith("--")} <= options_of(words[1])
    assert any("requirements/verifier.txt" in command for command in commands)
    assert (EXAMPLES.parent / "requirements" / "verifier.txt").is_file()


def test_the_github_example_runs_on_a_schedule_and_keeps_its_reports() -> None:
    """YAML reads the key `on` as true; a schedule and an artifact that is kept after a failure are there."""
    document = load("github-actions.yml")
    triggers = document["on"] if "on" in document else document[True]
    assert triggers["schedule"][0]["cron"].count(" ") == 4
    upload = document["jobs"]["verify"]["steps"][-1]
    assert upload["if"] == "always()"


def test_the_gitlab_example_runs_on_a_schedule_and_keeps_its_reports() -> None:
    """The JUnit file is a report of the job, after a failure too."""
    job = load("gitlab-ci.yml")["consistency"]
    assert "schedule" in job["rules"][0]["if"]
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == "verifier.xml"
