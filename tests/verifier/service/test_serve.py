"""`verifier serve` as a process: runs on demand, one run at a time, invalid profiles, and a timely end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fixtures.clients.world import WorldConfig
from fixtures.stack.profile import profile_text
from fixtures.stack.stack import Stack
from verifier.history import History, RunState
from verifier.profile.template import TimingValues

pytestmark = pytest.mark.long

SERVE = (sys.executable, "-c", "from verifier.commands.cli import main; main()", "serve", "--port", "0")
PATIENCE_S = 30.0
QUICK = TimingValues(settle_s=0, observe_s=0.2, counter_flush_s=0)
SLOW = TimingValues(settle_s=0, observe_s=60, counter_flush_s=0)


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def health(self) -> dict[str, Any]:
        """The answer of /healthz, with the status code as `code`."""
        answer = httpx.get(f"{self.url}/healthz", trust_env=False)
        return {**answer.json(), "code": answer.status_code}

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Every sample by name and label values."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def run_now(self) -> None:
        """Request a run outside the schedule."""
        self.process.send_signal(signal.SIGHUP)

    def wait(self, what: str, condition: Callable[[], object]) -> None:
        """Poll until a condition is met."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{what}: {self.health()}\n{self.log.read_text()}"
            time.sleep(0.1)

    def finished(self) -> float:
        """How many runs have finished."""
        return self.metrics()["verifier_runs_total", "finished"]


@contextmanager
def serving(profile: Path) -> Iterator[Served]:
    """A service on a free port, killed at the end if it still runs."""
    log = profile.with_suffix(".log")
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*SERVE, "--profile", str(profile)], stdout=subprocess.PIPE, stderr=errors, text=True, cwd=profile.parent
        )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://\S+", said)
        assert found, said + log.read_text()
        served = Served(process, found[0], log)
        served.wait("the first answer", lambda: _answers(found[0]))
        yield served
    finally:
        process.kill()
        process.wait(timeout=10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code > 0
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def config(stack: Stack) -> Iterator[WorldConfig]:
    """A world without users."""
    with stack.new_world(broker=False) as world:
        yield world.config


@pytest.fixture
def profile(config: WorldConfig, tmp_path: Path) -> Callable[..., Path]:
    """Write the profile of the world, with a separate history for each test."""

    def write(*, phase: str = "baseline", timing: TimingValues = QUICK, cron: str = "17 2 * * *") -> Path:
        began = datetime.now(UTC) - timedelta(minutes=1)
        since = dict.fromkeys(("registered", "cutover", "frozen"), began)
        text = profile_text(config, phase=phase, since=since, timing=timing)
        text = re.sub(r"(?m)^history = .*$", f'history = "{tmp_path}/history.db"', text)
        path = tmp_path / "stack.toml"
        path.write_text(text.replace('cron = "17 2 * * *"', f'cron = "{cron}"'))
        path.chmod(0o600)
        return path

    return write


def test_a_run_is_in_health_metrics_and_report(profile: Callable[..., Path], config: WorldConfig) -> None:
    """It is still there after a restart, and no page or log shows a password."""
    path = profile()
    with serving(path) as served:
        assert served.health()["last_run"] is None
        served.run_now()
        served.wait("a finished run", served.finished)
        last = served.health()["last_run"]
        assert served.metrics()["verifier_check_verdict", "META-01", "critical", "holds"] == 1
        page = httpx.get(served.url, trust_env=False).text
        assert last["run_id"] in page
        output = page + served.log.read_text() + str(served.health())
        assert config.openim_secret not in output
        for url in (config.verifier.user_db, config.verifier.mongo, config.verifier.redis):
            assert url.rpartition("@")[0].rpartition(":")[2] not in output
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=10) == 0
    with serving(path) as served:
        assert served.health()["last_run"] == last
        assert served.health()["code"] == 200


def test_one_run_at_a_time_and_a_timely_end(profile: Callable[..., Path], config: WorldConfig) -> None:
    """A second request is skipped while a run is in progress. SIGTERM interrupts the run, which is resumed after a restart."""
    path = profile(phase="frozen", timing=SLOW)
    with serving(path) as served:
        served.run_now()
        served.wait("a run in progress", lambda: served.health()["running_since"])
        served.run_now()
        served.wait("a skipped run", lambda: served.metrics()["verifier_runs_total", "skipped"])
        # It observes channels for a minute, so it is still running when the signal arrives.
        served.wait("a first verdict", lambda: "run " in served.log.read_text())
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=15) == 0
    with History.open(str(path.parent / "history.db"), stack=config.name) as history:
        assert [run.state for run in history.runs()] == [RunState.INTERRUPTED]
        begun = history.runs()[0].run_id
    with serving(path) as served:  # the interrupted run is resumed
        served.wait("the resumed run", lambda: f"run {begun} of" in served.log.read_text())
        assert served.health()["running_since"]
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(timeout=15)
    with History.open(str(path.parent / "history.db"), stack=config.name) as history:
        assert [run.run_id for run in history.runs()] == [begun]


def test_an_invalid_profile_is_not_used(profile: Callable[..., Path]) -> None:
    """The run uses the previous profile and the error is shown. A corrected profile is used by the next run, including its schedule."""
    path = profile()
    with serving(path) as served:
        corrected = path.read_text().replace('cron = "17 2 * * *"', 'cron = "0 5 * * *"')
        path.write_text("stack = \n")
        served.run_now()
        served.wait("a finished run", served.finished)
        assert "not valid TOML" in served.health()["warnings"][0]
        assert served.health()["code"] == 200
        assert served.metrics()["verifier_profile_ok",] == 0
        assert "T02:17:00" in served.health()["next_run_at"]
        path.write_text(corrected)
        served.run_now()
        served.wait("a second run", lambda: served.finished() == 2)
        served.wait("the new cron", lambda: "T05:00:00" in served.health()["next_run_at"])
        assert served.health()["warnings"] == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("17 2 * * *", "17 2 * *"), "schedule.cron"),
        (('history = "', 'history = "memory:" # '), "a history that is kept"),
        (("[schedule]", "[shedule]"), "Did you mean 'schedule'"),
    ],
)
def test_a_profile_that_a_service_cannot_use_is_exit_code_3(
    profile: Callable[..., Path], change: tuple[str, str], says: str
) -> None:
    """The message names the setting; nothing is served."""
    path = profile()
    path.write_text(path.read_text().replace(*change))
    answer = subprocess.run(
        [*SERVE, "--profile", str(path)], capture_output=True, text=True, timeout=30, check=False, cwd=path.parent
    )
    assert answer.returncode == 3, answer
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_port_in_use_is_exit_code_3(profile: Callable[..., Path]) -> None:
    """The message names the address."""
    path = profile()
    with serving(path) as served:
        port = served.url.rpartition(":")[2]
        answer = subprocess.run(
            [*SERVE[:-1], port, "--profile", str(path)], capture_output=True, text=True, timeout=30, check=False
        )
        assert answer.returncode == 3
        assert f"cannot listen on 127.0.0.1:{port}" in answer.stderr
        assert "Traceback" not in answer.stderr
