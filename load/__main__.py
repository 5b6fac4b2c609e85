"""`python -m load run PLAN.toml`, and `judge JOURNAL …`: account for a run again, or for one of several machines."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from load.audit import reread
from load.command import run_command
from load.config import settings_from
from load.experiments.baseline import compare, save
from load.experiments.capacity import search
from load.experiments.plans import read_plan, run_plan
from load.experiments.trials import stack_of, trial
from load.report import account_for, write_json
from load.results import CapacityResult, Trial
from load.settings import OUT_DIR, SettingsError
from load.users.openim import OpenIMApi
from load.users.recorder import new_run_id
from verifier.judges.journal import JournalError
from verifier.model.verdict import ExitCode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def load() -> None:
    """Load on OpenIM. Record a run with: locust -f load/locustfile.py"""


@app.command()
def judge(
    journals: Annotated[list[Path], typer.Argument(help="the journals of one run, one for each worker")],
    settle_s: Annotated[float, typer.Option(min=0, help="seconds until an acknowledged message is readable")] = 2.0,
    out_dir: Annotated[Path, typer.Option(help="where the JSON report goes")] = OUT_DIR,
) -> None:
    """Judge recorded journals: what was sent, what arrived, what nobody can know."""
    try:
        account = account_for(journals, settle_s=settle_s)
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
    """Run a load that is written down; exit code 1 where it loses messages or does not reach its thresholds."""
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
        Path, typer.Argument(help="a plan; its [thresholds] are the objectives, its rate the first to try")
    ],
    precision: Annotated[float, typer.Option(min=0.01, help="how far the ends may lie apart, as a share")] = 0.1,
    repeats: Annotated[int, typer.Option(min=1, help="how often the sustained rate must hold")] = 3,
) -> None:
    """Find the rate that is sustained: raise it until an objective breaks, narrow it down, try the edge again.

    A loss, a send without an answer and a refused one break it, too. The report is capacity-….json beside the runs.
    """
    try:
        wanted = read_plan(plan)
        out_dir = Path(wanted.out_dir) / f"capacity-{new_run_id()}"
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


@app.command("reread")
def read_again(
    journals: Annotated[list[Path], typer.Argument(help="the journals of one run over the WebSocket")],
    profile: Annotated[str | None, typer.Option(help="stack.toml with [roles.openim]")] = None,
    host: Annotated[str | None, typer.Option(help="OpenIM's REST API, where there is no profile")] = None,
    settle_s: Annotated[float, typer.Option(min=0, help="seconds until an acknowledged message is readable")] = 2.0,
    out_dir: Annotated[Path, typer.Option(help="where the JSON report goes")] = OUT_DIR,
) -> None:
    """Read a run's messages back once more, hours later, and judge the run again: were they stored, or only cached?

    OPENIM_SECRET and OPENIM_ADMIN say who may read.
    """
    options = {
        "profile": profile,
        "host": host,
        "openim_secret": os.environ.get("OPENIM_SECRET"),
        "openim_admin": os.environ.get("OPENIM_ADMIN"),
    }
    try:
        settings = settings_from(options)
        api = OpenIMApi(settings.api_url, secret=settings.secret, admin_user_id=settings.admin_user_id)
        try:
            journals = [*journals, reread(journals, api)]
        finally:
            api.close()
    except (SettingsError, JournalError) as error:
        typer.echo(f"Cannot read again: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    judge(journals, settle_s, out_dir)


@app.command("baseline")
def keep_baseline(
    reports: Annotated[list[Path], typer.Argument(help="load-….json of one run or, better, of several")],
    output: Annotated[Path, typer.Option("--output", "-o", help="where the baseline goes")],
) -> None:
    """Keep runs as what later ones are compared with."""
    try:
        save(reports, output)
    except (SettingsError, OSError) as error:
        typer.echo(f"Cannot keep: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    typer.echo(f"baseline: {output} ({len(reports)} runs)")


@app.command("compare")
def beside_baseline(
    reports: Annotated[list[Path], typer.Argument(help="load-….json of the new runs")],
    baseline: Annotated[Path, typer.Option("--baseline", "-b", help="what `python -m load baseline` kept")],
    out_dir: Annotated[Path, typer.Option(help="where the JSON report goes")] = OUT_DIR,
) -> None:
    """Say whether these runs differ from a baseline for real; exit code 1 where they are worse."""
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
    connections: Annotated[int, typer.Option(min=2, help="how many users send, as fast as they are answered")] = 50,
    seconds: Annotated[float, typer.Option(min=1, help="how long to measure")] = 5.0,
) -> None:
    """Measure what one process on this machine can generate, against a bare server that acknowledges and pushes."""
    from load.bench.measuring import Server, drive, ours  # the server side is of no use to a run

    server = Server()
    try:
        name, command, environment = ours(server.port, "full", connections)
        found = drive(server, command, environment, connections=connections, seconds=seconds, what="acks")
    finally:
        server.close()
    typer.echo(
        f"{name}, {connections} connections: {found.per_s:.0f} messages a second, {found.per_core_s:.0f} for each "
        f"second of processor time. Plan with at most {0.7 * found.per_core_s:.0f} a second for each worker."
    )


if __name__ == "__main__":
    sys.exit(run_command(app))
