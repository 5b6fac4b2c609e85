"""Running a Typer application under our exit codes; also used by the canary."""

from __future__ import annotations

import typer
from typer.exceptions import TyperException

from verifier.model.verdict import ExitCode


def run_command(app: typer.Typer) -> int:
    """Run an application; returns its exit code. Typer's own code for usage (2) means "inconclusive" with us: 3 instead."""
    try:
        return int(app(standalone_mode=False) or ExitCode.HOLDS)
    except TyperException as error:
        typer.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
