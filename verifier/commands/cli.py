"""The command line: `verifier baseline|run|list|explain|doctor|init|recheck|history|accept|can-advance|serve`.

Heavy imports (drivers, SQLAlchemy, rich) happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifier.model.invariant import Severity
from verifier.model.verdict import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verifier.commands.run import Outputs

app = typer.Typer(
    help="Proves, read-only, that a chat platform which moved its messaging to OpenIM has one home for each fact.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ProfileOption = Annotated[Path, typer.Option("--profile", "-p", help="The stack's profile.", envvar="VERIFIER_PROFILE")]
OnlyOption = Annotated[list[str] | None, typer.Option("--only", help="Check IDs or families, such as USR-01 or USR.")]
ChecksOption = Annotated[
    list[Path] | None, typer.Option("--checks", help="A Python file with checks of your own (IDs X-…).")
]
DEFAULT_PROFILE = Path("stack.toml")


def _outputs(
    json_path: Path | None, junit: Path | None, html: Path | None, audit: Path | None, *, quiet: bool, verbose: bool
) -> Outputs:
    from verifier.commands.run import Outputs

    return Outputs(json=json_path, junit=junit, html=html, audit=audit, quiet=quiet, verbose=verbose)


@app.command()
def run(
    profile: ProfileOption = DEFAULT_PROFILE,
    only: OnlyOption = None,
    phase: Annotated[
        str | None, typer.Option(help="What if the stack were in this phase? Nothing is remembered.")
    ] = None,
    fail_on: Annotated[str, typer.Option(help="Severities that make the exit code 1: C,H,M,I.")] = "C,H,M,I",
    max_runtime: Annotated[
        float | None, typer.Option(help="Stop after so many seconds; what is not judged is inconclusive.")
    ] = None,
    pause_file: Annotated[
        Path | None,
        typer.Option(help="While this file is there, wait and ask nothing; --max-runtime goes on counting."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last run if it was cut short; else begin a new one.")
    ] = False,
    checks: ChecksOption = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON ('-' for standard output).")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the result as JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML report.")] = None,
    audit: Annotated[
        Path | None, typer.Option(help="Write every statement, command and request with its counts as JSON lines.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every finding.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Judge every invariant of the stack. Exit: 0 holds, 1 violated, 2 inconclusive, 3 usage, 4 undelivered, 130 interrupted."""
    from verifier.commands.run import Pace, run_checks

    outputs = _outputs(json_path, junit, html, audit, quiet=quiet, verbose=verbose)
    severities = _severities(fail_on)
    raise typer.Exit(
        run_checks(
            profile,
            only=only or (),
            phase=phase,
            fail_on=severities,
            pace=Pace(max_runtime_s=max_runtime, resume=resume, pause_file=pause_file),
            checks=checks or (),
            outputs=outputs,
        )
    )


@app.command()
def baseline(profile: ProfileOption = DEFAULT_PROFILE, only: OnlyOption = None, checks: ChecksOption = None) -> None:
    """Take the first look of all absence proofs: what is there now is what later runs compare with."""
    from verifier.commands.run import take_baseline

    raise typer.Exit(take_baseline(profile, only=only or (), checks=checks or ()))


@app.command("list")
def list_checks(
    profile: Annotated[
        Path | None, typer.Option("--profile", "-p", help="Also say what applies to this stack.")
    ] = None,
    checks: ChecksOption = None,
) -> None:
    """List the invariants."""
    from verifier.commands.explain import print_checks

    print_checks(profile, checks or ())


@app.command()
def explain(check_id: str, profile: ProfileOption = DEFAULT_PROFILE, checks: ChecksOption = None) -> None:
    """Say what a check asks, why, with which exact queries, and which privileges it needs."""
    from verifier.commands.explain import explain_check

    explain_check(check_id, profile, checks or ())


@app.command()
def doctor(profile: ProfileOption = DEFAULT_PROFILE) -> None:
    """Check connections, privileges (too few, too many, unknown), clocks and versions. A credential that could write is refused."""
    from verifier.commands.doctor import examine

    raise typer.Exit(examine(profile))


@app.command()
def init(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the proposal.")] = DEFAULT_PROFILE,
    stack: Annotated[str, typer.Option(help="A name for the stack.")] = "my-stack",
    user_db: Annotated[str | None, typer.Option(help="PostgreSQL URL of the user-service.")] = None,
    chat_db: Annotated[str | None, typer.Option(help="PostgreSQL URL of the chat-service.")] = None,
    mongo: Annotated[str | None, typer.Option(help="MongoDB URL of the chat-service.")] = None,
    redis: Annotated[str | None, typer.Option(help="Redis URL.")] = None,
    rabbitmq: Annotated[str | None, typer.Option(help="RabbitMQ management URL.")] = None,
    openim: Annotated[str | None, typer.Option(help="OpenIM API URL.")] = None,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Look at a stack and write a commented profile to start from; secrets stay out of the file."""
    from verifier.commands.init import Addresses, write_draft

    addresses = Addresses(user_db=user_db, chat_db=chat_db, mongo=mongo, redis=redis, rabbitmq=rabbitmq, openim=openim)
    raise typer.Exit(write_draft(output, stack, addresses, force=force))


@app.command()
def recheck(fingerprint: str, profile: ProfileOption = DEFAULT_PROFILE, checks: ChecksOption = None) -> None:
    """Look at one finding again. Exit: 1 still there, 0 gone, 2 could not know."""
    from verifier.commands.run import look_again

    raise typer.Exit(look_again(fingerprint, profile, checks or ()))


@app.command()
def history(
    profile: ProfileOption = DEFAULT_PROFILE,
    findings: Annotated[bool, typer.Option(help="List findings instead of runs.")] = False,
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
) -> None:
    """Show earlier runs, or the findings that are known."""
    from verifier.commands.explain import print_history

    print_history(profile, findings=findings, limit=limit)


@app.command("can-advance")
def can_advance(
    to: Annotated[str, typer.Option(help="The next phase: registered, cutover, frozen or decommissioned.")],
    profile: ProfileOption = DEFAULT_PROFILE,
    checks: ChecksOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the conditions as JSON.")] = False,
) -> None:
    """Say whether the stack may go on to its next phase, and what is missing. Exit: 0 it may, 1 not yet, 2 cannot tell, 3 usage."""
    from verifier.commands.can_advance import can_advance as judge

    raise typer.Exit(judge(profile, to=to, checks=checks or (), as_json=as_json))


@app.command()
def accept(
    check_ids: Annotated[list[str] | None, typer.Argument(help="Check IDs; none lists what is pending.")] = None,
    profile: ProfileOption = DEFAULT_PROFILE,
    everything: Annotated[bool, typer.Option("--all", help="Accept every check that there is.")] = False,
    checks: ChecksOption = None,
) -> None:
    """Let checks that came with an upgrade count in the exit code from now on, or list those that are pending."""
    from verifier.commands.can_advance import accept_checks

    raise typer.Exit(accept_checks(profile, ids=check_ids or (), everything=everything, checks=checks or ()))


@app.command()
def serve(
    profile: ProfileOption = DEFAULT_PROFILE,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 9187,
    checks: ChecksOption = None,
) -> None:
    """Run the checks on the profile's cron, never two at once, with /healthz and Prometheus /metrics."""
    from verifier.service.serve import serve_forever

    raise typer.Exit(serve_forever(profile, host=host, port=port, checks=checks or ()))


def _severities(text: str) -> frozenset[Severity]:
    try:
        return frozenset(Severity(part.strip().upper()) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: give severities out of C,H,M,I, such as C,H", param_hint="--fail-on"
        ) from None


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Typer's own codes are remapped to the documented ones; bad input never shows a traceback."""
    from typer.exceptions import TyperException

    from verifier.profile.errors import ProfileError

    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
        sys.exit(int(code or 0))
    except TyperException as error:
        print(f"verifier: {getattr(error, 'format_message', error.__str__)()} See: verifier --help", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    except ProfileError as error:
        print(f"verifier: {error}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except BrokenPipeError:
        sys.exit(ExitCode.UNDELIVERED)
    except Exception as error:  # the last resort; the traceback is for whoever debugs us
        _internal(error)


def _internal(error: Exception) -> None:
    from verifier.history.errors import HistoryError
    from verifier.model.redact import clean

    if isinstance(error, HistoryError):
        print(f"verifier: {clean(str(error))}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    print(f"verifier: internal error: {type(error).__name__}: {clean(str(error))}", file=sys.stderr)
    print(
        "This is a fault of the verifier; please report it. VERIFIER_DEBUG=1 shows where it happened.", file=sys.stderr
    )
    import os
    import traceback

    if os.environ.get("VERIFIER_DEBUG"):
        traceback.print_exception(error)
    sys.exit(ExitCode.INTERNAL)
