"""The commands of `python -m load`: runs that are written down, and journals and reports of runs afterwards."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from load.audit import read_again
from load.config import OUT_DIR, SettingsError, Traffic
from load.engine.patience import Patience
from load.experiments.baseline import compare, save
from load.experiments.capacity import search
from load.experiments.plans import read_plan, run_plan
from load.experiments.trials import stack_of, trial
from load.report import account_for, write_json
from load.results import CapacityResult, Trial
from load.target import config_from
from load.users.openim import OpenIMApi
from load.users.recorder import new_run_id
from verifier.commands.exit_codes import run_command
from verifier.judges.journal import JournalError
from verifier.model.verdict import ExitCode

Settle = Annotated[float, typer.Option(min=0, help="seconds in which an acknowledged message becomes readable")]
OutDir = Annotated[Path, typer.Option(help="directory for the JSON report")]
Quiet = Annotated[
    float,
    typer.Option(min=0, help="seconds without a newly readable message after which a missing one is lost, not late"),
]
SETTLE_S, QUIET_S, DRAIN_DEADLINE_S = Traffic().settle_s, Traffic().quiet_s, Traffic().drain_deadline_s

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def load() -> None:
    """Load on OpenIM. Start a run with: locust -f load/locustfile.py"""


@app.command()
def judge(
    journals: Annotated[list[Path], typer.Argument(help="the journals of one run, one for each worker")],
    settle_s: Settle = SETTLE_S,
    quiet_s: Quiet = QUIET_S,
    out_dir: OutDir = OUT_DIR,
) -> None:
    """Judge the journals of a run: which messages were sent, delivered, lost, or are unknown."""
    try:
        account = account_for(journals, settle_s=settle_s, quiet_s=quiet_s)
        report = out_dir / f"load-{account.header.run_id}.json"
        write_json(account, report)
    except (JournalError, OSError) as error:
        typer.echo(f"Cannot judge: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    typer.echo(account.to_text())
    typer.echo(f"  report: {report}")
    raise typer.Exit(account.exit_code)


@app.command()
def run(plan: Annotated[Path, typer.Argument(help="a TOML file with [target], [load] and [thresholds]")]) -> None:
    """Run a load plan; exit code 1 if it loses messages or does not reach its thresholds."""
    try:
        done = run_plan(read_plan(plan))
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    for line in done.broken:
        typer.echo(f"not reached: {line}")
    raise typer.Exit(done.code)


@app.command()
def capacity(
    plan: Annotated[
        Path, typer.Argument(help="a plan; its [thresholds] apply to each trial, its rate is the first to try")
    ],
    precision: Annotated[float, typer.Option(min=0.01, help="width of the interval at the end, as a share")] = 0.1,
    repeats: Annotated[int, typer.Option(min=1, help="trials in which the sustained rate must hold")] = 3,
) -> None:
    """Find the rate that is sustained: raise it until a threshold is missed, narrow the interval, repeat its lower end.

    A loss, an unanswered send and a refused send miss a threshold, too. The report is capacity-….json beside the runs.
    """
    try:
        wanted = read_plan(plan)
        out_dir = wanted.out_dir / f"capacity-{new_run_id()}"
        out_dir.mkdir(parents=True)

        def measure(per_s: float) -> Trial:
            typer.echo(f"trying {per_s:.1f} messages per second", err=True)
            found = trial(wanted, per_s, out_dir)
            typer.echo(f"  {found.outcome}{': ' if found.why else ''}{'; '.join(found.why)}", err=True)
            return found

        start_per_s, began = wanted.load.rate * wanted.load.users, datetime.now(UTC)
        stack = stack_of(wanted)
        found = search(measure, start_per_s=start_per_s, precision=precision, repeats=repeats)
        report = out_dir.with_suffix(".json")
        about = {
            "stack": stack,
            "started_at": began.isoformat(),
            "ended_at": datetime.now(UTC).isoformat(),
            "objectives": wanted.thresholds.model_dump(exclude_none=True),
        }
        document = CapacityResult.model_validate(found.to_json() | about).model_dump(mode="json")
        report.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except (SettingsError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    typer.echo(f"{found.to_text()}\n  report: {report}")
    raise typer.Exit(found.exit_code)


@app.command()
def audit(
    journals: Annotated[list[Path], typer.Argument(help="the journals of one run over the WebSocket")],
    profile: Annotated[str | None, typer.Option(help="stack.toml with [roles.openim]")] = None,
    host: Annotated[str | None, typer.Option(help="URL of OpenIM's REST API, if there is no profile")] = None,
    settle_s: Settle = SETTLE_S,
    quiet_s: Quiet = QUIET_S,
    drain_deadline_s: Annotated[
        float, typer.Option(min=0, help="longest wait while messages become readable")
    ] = DRAIN_DEADLINE_S,
    out_dir: OutDir = OUT_DIR,
) -> None:
    """Read a run's messages back again, hours later, and judge the run again: were they stored, or only cached?

    OPENIM_SECRET and OPENIM_ADMIN are the credentials.
    """
    options = {
        "profile": profile,
        "host": host,
        "openim_secret": os.environ.get("OPENIM_SECRET"),
        "openim_admin": os.environ.get("OPENIM_ADMIN"),
    }
    try:
        config = config_from(options)
        api = OpenIMApi(config.api_url, secret=config.secret, admin_user_id=config.admin_user_id)
        try:
            patience = Patience(quiet_s=quiet_s, deadline_s=drain_deadline_s)
            journals = [*journals, read_again(journals, api, patience)]
        finally:
            api.close()
    except (SettingsError, JournalError) as error:
        typer.echo(f"Cannot audit: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    judge(journals, settle_s, quiet_s, out_dir)


# The command's name in earlier versions.
app.command("reread", hidden=True)(audit)


@app.command("baseline")
def save_baseline(
    reports: Annotated[list[Path], typer.Argument(help="load-….json of one run or, better, of several")],
    output: Annotated[Path, typer.Option("--output", "-o", help="file for the baseline")],
) -> None:
    """Save runs as a baseline for `compare`."""
    try:
        save(reports, output)
    except (SettingsError, OSError) as error:
        typer.echo(f"Cannot save the baseline: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    typer.echo(f"baseline: {output} ({len(reports)} runs)")


@app.command("compare")
def compare_with_baseline(
    reports: Annotated[list[Path], typer.Argument(help="load-….json of the new runs")],
    baseline: Annotated[Path, typer.Option("--baseline", "-b", help="a file of `python -m load baseline`")],
    out_dir: OutDir = OUT_DIR,
) -> None:
    """Compare runs with a baseline; exit code 1 if they are worse by a significant difference."""
    try:
        found = compare(reports, baseline)
        report = out_dir / f"compare-{found.runs[-1]}.json"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(found.to_json(), indent=2) + "\n", encoding="utf-8")
    except (SettingsError, OSError) as error:
        typer.echo(f"Cannot compare: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    typer.echo(f"{found.to_text()}\n  report: {report}")
    raise typer.Exit(found.exit_code)


@app.command()
def calibrate(
    connections: Annotated[int, typer.Option(min=2, help="users; each sends when its last message is answered")] = 50,
    seconds: Annotated[float, typer.Option(min=1, help="duration of the measurement")] = 5.0,
) -> None:
    """Measure what one process on this machine can generate, against a minimal server that acknowledges and pushes."""
    from load.bench.measuring import Server, drive, ours  # the server is not needed for a run

    server = Server()
    try:
        name, command, environment = ours(server.port, "full", connections)
        found = drive(server, command, environment, connections=connections, seconds=seconds, what="acks")
    finally:
        server.close()
    typer.echo(
        f"{name}, {connections} connections: {found.per_s:.0f} messages per second, {found.per_core_s:.0f} per second of "
        f"processor time. Plan with at most {0.7 * found.per_core_s:.0f} messages per second for each worker."
    )


if __name__ == "__main__":
    sys.exit(run_command(app))
