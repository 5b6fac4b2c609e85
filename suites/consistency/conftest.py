"""One engine run for the whole session: every test below reads its verdict from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.plugin import record_run
from suites.consistency.judged import JudgedRun, judge, judge_world
from verifier.profile import ProfileError, load_profile


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> JudgedRun:
    """The stack of `--profile`, judged against its own baseline; without one, an embedded world in mid-migration."""
    path: Path | None = request.config.getoption("--profile")
    if path is None:
        with request.getfixturevalue("stack").new_world() as world:
            run = judge_world(world.config)
    else:
        try:
            run = judge(load_profile(path))
        except ProfileError as error:
            pytest.exit(str(error), returncode=3)
    record_run(request, run.result, code=run.exit_code)
    return run
