"""`python -m reports [PART …]`: join the results of verifier, suites and load tests into one HTML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reports.joined import OUT_DIR, TITLE, ReportError, newest_parts, write_joined
from verifier.model.verdict import ExitCode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def join(
    parts: Annotated[
        list[Path] | None,
        typer.Argument(
            help="JSON files of the verifier, the suites and load tests; by default the newest of each kind in reports/out"
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")] = OUT_DIR / "report.html",
    title: Annotated[str, typer.Option(help="The title of the report.")] = TITLE,
) -> None:
    """Join results into one self-contained HTML report."""
    chosen = parts or newest_parts(OUT_DIR)
    if not chosen:
        raise ReportError(
            f"nothing to join in {OUT_DIR}. Write a part first: verifier run --json {OUT_DIR}/verifier.json, "
            f"or pytest suites --report {OUT_DIR}/report.html"
        )
    write_joined(chosen, output, title=title)
    typer.echo(f"report: {output} ({', '.join(path.name for path in chosen)})")


def main() -> int:
    """Exit code 0: written; 3: a part cannot be used; 4: the report cannot be written."""
    try:
        code = app(standalone_mode=False)
    except ReportError as error:
        typer.echo(f"reports: {error}", err=True)
        return ExitCode.USAGE
    except typer.TyperException as error:
        typer.echo(f"reports: {getattr(error, 'format_message', error.__str__)()}", err=True)
        return ExitCode.USAGE
    except OSError as error:
        typer.echo(f"reports: {output_of(error)} could not be written: {error.strerror}.", err=True)
        return ExitCode.UNDELIVERED
    return int(code or 0)


def output_of(error: OSError) -> str:
    """The file of an error."""
    return str(error.filename or "the report")


if __name__ == "__main__":
    sys.exit(main())
