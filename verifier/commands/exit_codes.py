"""Run a Typer application with the project's exit codes; used by the load and the canary commands."""

from __future__ import annotations

import typer
from typer.exceptions import TyperException

from verifier.model.verdict import ExitCode


def run_command(app: typer.Typer) -> int:
    """Run an application and return its exit code. A usage error is 3: Typer's own 2 means "inconclusive" here."""
    try:
        return int(app(standalone_mode=False) or ExitCode.HOLDS)
    except TyperException as error:
        typer.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
