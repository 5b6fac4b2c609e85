"""What a killed process leaves in the history, and which run may write when."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.verifier.history.samples import START, finding, one_run, outcome, violated
from verifier.history import FindingState, History, HistoryBusy, HistoryError, LockLost, RunState

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def writing(place: str, stack: str, run_id: str) -> Iterator[subprocess.Popen[str]]:
    """A process that commits checks in a loop; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.verifier.history.writer", place, stack, run_id],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def committed(process: subprocess.Popen[str], count: int) -> list[int]:
    """The first `count` checks that the process reports as committed."""
    assert process.stdout
    return [int(process.stdout.readline()) for _ in range(count)]


@pytest.fixture
def shared_place(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A history that two processes can open."""
    if request.param == "file":
        return str(tmp_path / "history.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


on_both = pytest.mark.parametrize("shared_place", ["file", "postgres"], indirect=True)


@on_both
def test_sigkill_loses_no_committed_check(shared_place: str, request: pytest.FixtureRequest) -> None:
    """Every check reported as committed is stored with verdict, findings, watermark and position; none is stored in part."""
    stack = request.node.nodeid
    with writing(shared_place, stack, "r1") as process:
        reported = committed(process, 20)
        process.kill()
        process.wait(10)
        assert process.stdout
        reported += [int(line) for line in process.stdout.read().splitlines()]
    with History.open(shared_place, stack=stack) as history:
        stored = history.result("r1")
        assert stored is not None
        assert stored.interrupted
        judged = {item.check_id for item in stored.outcomes}
        assert {f"X-{number}" for number in reported} <= judged
        assert len(judged) <= len(reported) + 1
        found = [item.check_id for item in history.findings()]
        for check_id in judged:
            assert found.count(check_id) == 5
            assert history.watermark(check_id, "slot") == {"number": int(check_id[2:])}
            assert history.positions(check_id) == [(START, "1")]
        assert {item.check_id for item in history.watermarks()} == judged
        assert history.runs()[0].state is RunState.INTERRUPTED
        # The next run gets the lock at once, and the previous holder is reported.
        with history.lock() as left_behind:
            assert left_behind is not None
            assert left_behind.pid == process.pid
        one_run(history, "r2", outcome(check_id="X-0"))
        assert len(history.findings(FindingState.HEALED)) == 5


@on_both
def test_two_runs_of_a_stack_exclude_each_other(shared_place: str, request: pytest.FixtureRequest) -> None:
    """The error names the process that holds the lock and since when. Another stack in the same database is not blocked."""
    stack = request.node.nodeid
    with (
        writing(shared_place, stack, "r1") as process,
        History.open(shared_place, stack=stack) as history,
        History.open(shared_place, stack=f"{stack} other") as other,
    ):
        committed(process, 1)
        with pytest.raises(HistoryBusy, match=rf"process {process.pid} on .* since 20.*UTC"), history.lock():
            pytest.fail("two runs at once")
        assert history.runs()[0].state is RunState.RUNNING
        one_run(other, "r1", *(violated([finding(other, str(n))], check_id=f"X-{n}") for n in range(10)))
        assert len(other.findings()) == 10
        assert process.poll() is None
    with History.open(shared_place, stack=stack) as history, history.lock():
        pass


def test_the_lock_excludes_threads_of_one_process(history: History) -> None:
    """A second thread gets HistoryBusy."""
    busy: list[BaseException] = []

    def second() -> None:
        try:
            with history.lock():
                pass
        except HistoryBusy as error:
            busy.append(error)

    with history.lock():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(10)
    assert len(busy) == 1
    with history.lock():
        pass


def test_listing_runs_does_not_make_a_run_fail(tmp_path: Path) -> None:
    """Listing holds the lock for an instant; a run that starts meanwhile waits."""
    place = str(tmp_path / "history.db")
    with History.open(place, stack="s") as history, History.open(place, stack="s") as looking:
        with history.lock():
            history.begin("r1", "cutover", START)
        probe = ExitStack()
        probe.enter_context(looking._lock._exclusion()())
        threading.Timer(0.15, probe.close).start()
        with history.lock():
            history.begin("r2", "cutover", START)


def test_a_run_that_lost_its_lock_records_nothing_more(tmp_path: Path) -> None:
    """Removing the lock file admits a second run; the first one can no longer write."""
    place = tmp_path / "history.db"
    with History.open(str(place), stack="s") as first, History.open(str(place), stack="s") as second, first.lock():
        first.begin("r1", "cutover", START)
        next(tmp_path.glob("*.lock")).unlink()
        with second.lock():
            second.begin("r2", "cutover", START)
            with pytest.raises(LockLost, match="took the lock"):
                first.record(outcome())
            second.record(outcome())


def test_an_error_releases_the_lock(history: History) -> None:
    """After an error the next run can start, and recording without a run raises."""

    def fail() -> None:
        with history.lock():
            history.begin("r1", "cutover", START)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(HistoryError, match="begin"):
        history.record(outcome())
    with history.lock() as left_behind:
        assert left_behind is None
