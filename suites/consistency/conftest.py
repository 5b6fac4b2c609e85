"""One run of the verifier for the whole session, from which every test reads its verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.plugin import record_run
from suites.consistency.judged import JudgedRun, judge, judge_world
from suites.consistency.sharing import once
from verifier.history import HistoryError
from verifier.profile import ProfileError, load_profile


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JudgedRun:
    """The run on the stack of `--profile`, with the stack's own baseline. Without it, on an embedded world in mid-migration."""
    run = once(tmp_path_factory.getbasetemp().parent, lambda: _judge(request))
    record_run(request, run.result, code=run.exit_code)
    return run


def _judge(request: pytest.FixtureRequest) -> JudgedRun:
    path: Path | None = request.config.getoption("--profile")
    if path is None:
        with request.getfixturevalue("stack").new_world() as world:
            return judge_world(world.config)
    try:
        return judge(load_profile(path))
    except ProfileError as error:
        pytest.exit(str(error), returncode=3)
    except HistoryError as error:  # another run is in progress, or the history cannot be used
        pytest.fail(str(error), pytrace=False)
