"""`python -m load run PLAN.toml`: a run that is written down, with what it must reach.

[target]
profile = "stack.toml"          # or host, ws_url; OPENIM_SECRET and OPENIM_ADMIN come from the environment

[load]
users = 200
duration_s = 60
rate = 5                        # messages per second and user
arrivals = "poisson"

[thresholds]
send_p99_ms = 100
push_p99_ms = 300

[abort]                         # ends the run early, once broken for so long
after_s = 10
error_share_most = 0.05
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fixtures.processes.ports import claim_port, release_port
from load.monitoring.abort import AFTER_S
from load.monitoring.generator_health import LATE_MOST_MS
from load.settings import OUT_DIR, Scenario, SettingsError
from load.users.arrival import Model
from verifier.model.verdict import ExitCode

_OTHERWISE = {"users", "duration_s", "spawn_per_s", "gzip", "processes", "outage_slow"}
"""What of [load] is no option of the same name."""
_LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Section):
    """Whom to load; see `locust -f load/locustfile.py --help`."""

    profile: str | None = None
    host: str | None = None
    ws_url: str | None = None
    transport: Literal["ws", "rest"] = "ws"
    via: Literal["token", "gateway"] = "token"


class Load(_Section):
    """How much, for how long. `processes` are worker processes on this machine; 0 runs everything in one."""

    users: int = Field(ge=1)
    duration_s: int = Field(ge=1)
    spawn_per_s: float = Field(default=100, gt=0)
    rate: float = Field(default=1.0, gt=0)
    arrivals: Model = "even"
    ramp_from: float = Field(default=0, ge=0)
    ramp_s: float = Field(default=60, gt=0)
    trace: str | None = None
    text_bytes: int = Field(default=64, gt=0)
    window: int = Field(default=16, gt=0)
    think_s: float = Field(default=0, ge=0)
    settle_s: float = Field(default=2, gt=0)
    read_deadline_s: float = Field(default=30, gt=0)
    late_most_ms: float = Field(default=LATE_MOST_MS, gt=0)
    sdk_type: Literal["js", "go"] = "js"
    gzip: bool = False
    processes: int = Field(default=0, ge=0)
    scenario: Scenario = "pairs"
    group_size: int = Field(default=100, ge=3)
    group_connected: int = Field(default=0, ge=0)
    group_share: float = Field(default=0.3, gt=0, lt=1)
    outage_every_s: float = Field(default=0, ge=0)
    outage_share: float = Field(default=1, gt=0, le=1)
    outage_s: float = Field(default=0, ge=0)
    outage_slow: bool = False
    receipts_every_s: float = Field(default=0, ge=0)
    batch: int = Field(default=0, ge=0)


class Thresholds(_Section):
    """What the run must reach; what is not given is not asked. Losses need none: they are always a violation."""

    send_p50_ms: float | None = None
    send_p99_ms: float | None = None
    push_p50_ms: float | None = None
    push_p99_ms: float | None = None
    sent_least: int | None = None
    refused_most: int | None = None
    unknown_most: int | None = None

    def broken_by(self, report: Mapping[str, Any]) -> list[str]:
        """What this report does not reach. A number that it does not hold is not reached either."""
        delivery = report.get("delivery") or {}
        latency = report.get("latency_ms") or {}
        found: dict[str, float | None] = {
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
                broken.append(f"{name}: the report holds no such number")
            elif value < limit if name.endswith("_least") else value > limit:
                broken.append(f"{name}: {value:g}, asked for {limit:g}")
        return broken


class Abort(_Section):
    """When the run ends early: a limit that was broken for `after_s` in a row."""

    after_s: float = Field(default=AFTER_S, gt=0)
    error_share_most: float | None = Field(default=None, ge=0, le=1)
    send_p99_ms: float | None = Field(default=None, gt=0)
    backlog_most: float | None = Field(default=None, ge=0)


class After(_Section):
    """What follows the load. `verify`: the verifier runs on the profile's stack; where it does not hold, nor does the run."""

    verify: bool = True


class Plan(_Section):
    """One run, written down."""

    target: Target
    load: Load
    thresholds: Thresholds = Thresholds()
    abort: Abort = Abort()
    after: After = After()
    out_dir: str = str(OUT_DIR)

    def command(self, *, master_port: int | None = None) -> list[str]:
        """The locust command that it stands for; with processes, their master listens at `master_port`."""
        load, target = self.load, self.target
        command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary"]
        command += ["-u", str(load.users), "-r", str(load.spawn_per_s), "-t", f"{load.duration_s}s"]
        given: dict[str, object] = {
            "profile": target.profile,
            "host": target.host,
            "ws-url": target.ws_url,
            "transport": target.transport,
            "via": target.via,
            **{name.replace("_", "-"): value for name, value in load.model_dump(exclude=_OTHERWISE).items()},
            "processes": load.processes or None,
            "master-port": master_port,
            "master-bind-port": master_port,
            "out-dir": self.out_dir,
            **{f"abort-{name.replace('_', '-')}": value for name, value in self.abort.model_dump().items()},
        }
        for name, value in given.items():
            command += [] if value is None else [f"--{name}", str(value)]
        switches = {"--gzip": load.gzip, "--outage-slow": load.outage_slow, "--no-verify": not self.after.verify}
        return [*command, *(name for name, on in switches.items() if on)]


def read_plan(path: Path) -> Plan:
    """A plan from its file. Raises SettingsError with the field that is wrong."""
    try:
        return Plan.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"The plan {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The plan {path} is no TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the plan"
        raise SettingsError(f"{path}: {where}: {first['msg']}.") from None


@dataclass(frozen=True, kw_only=True)
class PlanRun:
    """How a run that was written down ended: its exit code, the thresholds that were not reached, and its report."""

    code: ExitCode
    broken: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None


def run_plan(plan: Plan) -> PlanRun:
    """Run it. Raises SettingsError where nothing was reported; what locust refused has no report."""
    out_dir = Path(plan.out_dir)
    before = set(out_dir.glob("load-*.json"))
    # Locust's own port is one for the whole machine, where two plans may run at once.
    port = claim_port() if plan.load.processes else None
    try:
        code = subprocess.run(plan.command(master_port=port), check=False).returncode  # noqa: S603 - our own command line
    finally:
        if port is not None:
            release_port(port)
    # With workers the master's report, of the whole run, has the shortest name.
    reports = sorted(set(out_dir.glob("load-*.json")) - before, key=lambda path: (len(path.name), path.name))
    if not reports:
        if code == ExitCode.USAGE:
            return PlanRun(code=ExitCode.USAGE)
        raise SettingsError(f"The run left no report in {out_dir}; locust ended with {code} and says above why.")
    report = json.loads(reports[0].read_text("utf-8"))
    broken = tuple(plan.thresholds.broken_by(report))
    known = code if code in set(ExitCode) else int(ExitCode.INCONCLUSIVE)
    if broken and known in (ExitCode.HOLDS, ExitCode.VIOLATED):
        known = ExitCode.VIOLATED
    return PlanRun(code=ExitCode(known), broken=broken, report=report, path=reports[0])
