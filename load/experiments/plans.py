"""Load plans: `python -m load run PLAN.toml` runs a load that is written down, and compares it with thresholds.

`examples/load-plan.toml` is a plan with comments. The tables [target], [load], [abort] and [after] hold the options of
the locustfile, see `load.config`; OPENIM_SECRET and OPENIM_ADMIN come from the environment.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from load.config import (
    OUT_DIR,
    AbortLimits,
    After,
    Section,
    SettingsError,
    TargetOptions,
    Traffic,
    Transport,
    option,
    options_of,
)
from verifier.model.verdict import ExitCode

_LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"


class PlannedTarget(TargetOptions):
    """The server under load."""

    # A plan describes a load as clients cause it, so its default is the WebSocket. The command line keeps REST as its
    # default, so that existing scripts do what they did.
    transport: Transport = option("ws", "transport of the messages: OpenIM's WebSocket or its REST API")


class PlannedLoad(Traffic):
    """What the users send, how many there are, and for how long."""

    users: int = option(..., "users at the same time", ge=1, locusts=True)
    duration_s: int = option(..., "duration", unit="s", ge=1, flag="--run-time", locusts=True)
    spawn_per_s: float = option(100.0, "users started per second", gt=0, flag="--spawn-rate", locusts=True)
    processes: int = option(0, "worker processes on this machine; 0: one process does everything", ge=0, locusts=True)


class Thresholds(Section):
    """What the run must reach; a threshold that is not given is not checked. A loss is always a violation."""

    send_p50_ms: float | None = None
    send_p99_ms: float | None = None
    push_p50_ms: float | None = None
    push_p99_ms: float | None = None
    sent_least: int | None = None
    refused_most: int | None = None
    unknown_most: int | None = None
    unstored_most: int | None = None
    drain_most_s: float | None = None

    def broken_by(self, report: Mapping[str, Any]) -> list[str]:
        """The thresholds that this report does not reach. A number that is missing in the report does not reach one."""
        delivery = report.get("delivery") or {}
        latency = report.get("latency_ms") or {}
        backlog = report.get("backlog") or {}
        found: dict[str, float | None] = {
            "unstored_most": backlog.get("unstored_most"),
            "drain_most_s": backlog.get("drain_s"),
            "sent_least": delivery.get("sent"),
            "refused_most": delivery.get("refused"),
            "unknown_most": delivery.get("unknown_sends"),
        }
        for name in ("send", "push"):
            for percentile in ("p50", "p99"):
                found[f"{name}_{percentile}_ms"] = (latency.get(name) or {}).get(percentile)
        broken = []
        for name, limit in self.model_dump(exclude_none=True).items():
            value = found[name]
            if value is None:
                broken.append(f"{name}: the report does not contain this number")
            elif value < limit if name.endswith("_least") else value > limit:
                broken.append(f"{name}: {value:g}, the threshold is {limit:g}")
        return broken


class LoadPlan(Section):
    """One run, written down."""

    target: PlannedTarget
    load: PlannedLoad
    thresholds: Thresholds = Thresholds()
    abort: AbortLimits = AbortLimits()
    after: After = After()
    out_dir: Path = OUT_DIR

    def command(self, *, master_port: int | None = None) -> list[str]:
        """The locust command of this plan; with processes, their master listens at `master_port`."""
        command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary"]
        for one in options_of(LoadPlan):
            if one.section != "thresholds":
                section = getattr(self, one.section) if one.section else self
                command += one.arguments(getattr(section, one.name))
        if master_port is not None:
            command += ["--master-port", str(master_port), "--master-bind-port", str(master_port)]
        return command


def read_plan(path: Path) -> LoadPlan:
    """A plan from its file. Raises SettingsError, naming the key that is wrong."""
    try:
        return LoadPlan.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"The plan {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The plan {path} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the plan"
        raise SettingsError(f"{path}: {where}: {first['msg']}.") from None


@dataclass(frozen=True, kw_only=True)
class PlanResult:
    """The result of a planned run: its exit code, the thresholds that were not reached, and its report."""

    code: ExitCode
    broken: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None


def run_plan(plan: LoadPlan) -> PlanResult:
    """Run a plan. Raises SettingsError where the run left no report; a plan that locust refused has no report."""
    before = set(plan.out_dir.glob("load-*.json"))
    # Locust's default port is the same for all runs on a machine, where two plans may run at once.
    port = free_port() if plan.load.processes else None
    code = subprocess.run(plan.command(master_port=port), check=False).returncode  # noqa: S603 - our own command line
    # With workers the report of the whole run, by the master, has the shortest name.
    reports = sorted(set(plan.out_dir.glob("load-*.json")) - before, key=lambda path: (len(path.name), path.name))
    if not reports:
        if code == ExitCode.USAGE:
            return PlanResult(code=ExitCode.USAGE)
        raise SettingsError(
            f"The run left no report in {plan.out_dir}; locust ended with exit code {code}, see its messages above."
        )
    report = json.loads(reports[0].read_text("utf-8"))
    broken = tuple(plan.thresholds.broken_by(report))
    known = code if code in set(ExitCode) else int(ExitCode.INCONCLUSIVE)
    if broken and known in (ExitCode.HOLDS, ExitCode.VIOLATED):
        known = ExitCode.VIOLATED
    return PlanResult(code=ExitCode(known), broken=broken, report=report, path=reports[0])


def free_port() -> int:
    """A TCP port of the loopback interface that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
