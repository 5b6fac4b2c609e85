"""Runs of the engine against a double in another process. The double's log is the ground truth of its faults."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import httpx

from fixtures.processes.ports import claim_port, release_port
from fixtures.services.openim_double import running_double
from load.config import Traffic
from load.engine.engine import LoadEngine, wait_for
from load.engine.frames import SINGLE, Peer
from load.engine.plan import EnginePlan, Target, UserPlan
from load.experiments.plans import read_plan, run_plan
from load.journal.layout import marker_of, message_number
from load.journal.writer import ColumnWriter
from load.judging.account import Judged, judge_run
from load.users.openim import OpenIMApi, conversation_id
from verifier.model.verdict import ExitCode

SECRET, ADMIN = "secret-of-the-test", "loadAdmin"
WEB = 5


@dataclass(frozen=True)
class Double:
    """The URLs of a running double."""

    api_url: str
    ws_url: str

    def faults(self, **switches: Any) -> None:
        """Set the fault switches and clear the log."""
        httpx.delete(f"{self.api_url}/_double/log").raise_for_status()
        answer = httpx.post(f"{self.api_url}/_double/faults", json=switches)
        assert answer.status_code == 200, answer.text

    def log(self, fault: str) -> list[Mapping[str, Any]]:
        """The log entries of one fault."""
        return [entry for entry in httpx.get(f"{self.api_url}/_double/log").json()["data"] if entry["fault"] == fault]

    def markers(self, fault: str) -> set[str]:
        """The markers of the messages with this fault."""
        return {marker(entry["clientMsgID"]) for entry in self.log(fault)}


def marker(client_msg_id: str) -> str:
    """A message's marker, from its clientMsgID."""
    return marker_of(message_number(int(client_msg_id[16:20], 16), int(client_msg_id[20:])))


@contextmanager
def a_double() -> Iterator[Double]:
    """A double in another process."""
    with (
        TemporaryDirectory() as directory,
        running_double(Path(directory) / "log", "--faults", secret=SECRET, admin=ADMIN) as process,
    ):
        yield Double(process.api_url, process.ws_url.replace("http", "ws", 1))


@contextmanager
def two_workers() -> Iterator[list[str]]:
    """Locust's options for two worker processes, with a free port for their master: other tests may run at the same time."""
    port = str(claim_port())
    try:
        yield ["--processes", "2", "--master-port", port, "--master-bind-port", port]
    finally:
        release_port(int(port))


class Drive:
    """One run: pairs of users, of which the first sends to the second."""

    def __init__(self, double: Double, path: Path, *, seed: int, pairs: int = 3, **settings: Any) -> None:
        self.double, self.path = double, path
        self.run_id = f"run-{path.name}-{seed}"
        settings = {"warm_up_s": 0.1, "ack_deadline_s": 1.0, "backoff_s": 0.05} | settings
        traffic = {name: settings.pop(name) for name in Traffic.model_fields if name in settings}
        self.plan = EnginePlan(
            run_id=self.run_id,
            worker=0,
            text="canary " * 20,
            traffic=Traffic(**{"window": 1, **traffic}),
            **settings,
        )
        self.users = [f"canaryload{seed:03d}{number:04d}" for number in range(2 * pairs)]
        self._rng = random.Random(seed)  # noqa: S311 - arrivals
        journal = ColumnWriter(
            path, run_id=self.run_id, stack="test", worker=0, digest=self.plan.digest, warm_up_s=self.plan.warm_up_s
        )
        self.engine = LoadEngine(self.plan, journal)
        api = OpenIMApi(double.api_url, secret=SECRET, admin_user_id=ADMIN)
        api.ensure_registered(self.users)
        self._tokens = {user: api.user_token(user, WEB) for user in self.users}
        api.close()

    def start(self, due_s: Callable[[random.Random], Iterator[float]]) -> None:
        """Connect all users; `due_s` gives the due times of each sender, after it is ready."""
        self.engine.start(lambda run: threading.Thread(target=run, daemon=True).start())
        for number, user in enumerate(self.users):
            self.engine.add(self._user(user, due_s(self._rng) if number % 2 == 0 else iter(())))
        deadline = time.monotonic() + 10
        while not all(map(self.engine.is_ready, self.users)):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _user(self, user: str, due_s: Iterator[float]) -> UserPlan:
        query = {"sendID": user, "token": self._tokens[user], "platformID": WEB, "operationID": "connect"}
        query |= {"isBackground": "false", "sdkType": self.plan.traffic.sdk_type}
        query |= {"compression": "gzip"} if self.plan.traffic.gzip else {}
        url = f"{self.double.ws_url}/?{urlencode(query)}"
        peer = self.users[self.users.index(user) ^ 1]
        target = Target(peer=Peer(SINGLE, peer), conversation=conversation_id(user, peer), members=sorted((user, peer)))
        return UserPlan(user_id=user, address=lambda: (url, {}), targets=[target], due_s=due_s)

    def judge(self, *, deadline_s: float = 5, quiet_s: float = 0.5) -> Judged:
        """End the run and judge it."""
        wait_for(self.engine.finish(settle_s=0.3, quiet_s=quiet_s, deadline_s=deadline_s), time.sleep, 30)
        assert self.engine.broken is None
        return judge_run([self.path], settle_s=0.3, quiet_s=quiet_s)[1]


def poisson(rate_per_s: float, seconds: float, *, after_s: float = 0.0) -> Callable[[random.Random], Iterator[float]]:
    """Independent arrivals for `seconds`, from `after_s` on."""

    def due_s(rng: random.Random) -> Iterator[float]:
        at_s = rng.expovariate(rate_per_s)
        while at_s < seconds:
            yield after_s + at_s
            at_s += rng.expovariate(rate_per_s)

    return due_s


def run_load(
    double: Double, directory: Path, load: str, *, drain_deadline_s: float = 20, transport: str = "ws"
) -> tuple[ExitCode, dict[str, Any]]:
    """Run a plan with these lines in [load]; returns its exit code and its report."""
    plan = directory / "plan.toml"
    plan.write_text(
        f"""
        out_dir = "{directory}"
        [target]
        host = "{double.api_url}"
        ws_url = "{double.ws_url}"
        transport = "{transport}"
        [load]
        settle_s = 0.5
        late_most_ms = 2000
        quiet_s = 0.5
        drain_deadline_s = {drain_deadline_s}
        {load}
        """
    )
    code = run_plan(read_plan(plan)).code
    report = min(directory.glob("load-*.json"), key=lambda path: len(path.name))
    return code, json.loads(report.read_text())


def problems(report: dict[str, Any], judge: str) -> list[dict[str, Any]]:
    """The problems of one judge in a report."""
    found: list[dict[str, Any]] = report["judgements"][judge]["problems"]
    return found
