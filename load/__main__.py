"""`python -m load judge JOURNAL …`: account for a run again, or for one that was recorded on several machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from load.account import account_for, write_json
from load.command import run_command
from load.settings import OUT_DIR
from verifier.judges.journal import JournalError
from verifier.verdict import ExitCode

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


if __name__ == "__main__":
    sys.exit(run_command(app))
