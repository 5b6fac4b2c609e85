"""The command line: `verifier list|explain|init|doctor|baseline|run|recheck|history|accept|can-advance|serve`.

Heavy imports (drivers, SQLAlchemy, rich) are inside the commands, so that `--help` is fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifier.commands.options import DEFAULT_PROFILE, ChecksOption, OnlyOption, ProfileOption, parse_severities
from verifier.model.verdict import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    help="""Verify that a chat platform which moved its messaging to OpenIM has a single source of truth.

    All checks are read-only. Start with `init`, `doctor` and `baseline`. Then use `run` every night or after deployments.

    Exit codes: 0 everything applicable holds, 1 violated, 2 inconclusive, 3 usage or profile error, 4 a report could not
    be written, 70 internal error, 130 interrupted.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("list")
def list_checks(
    profile: Annotated[
        Path | None,
        typer.Option("--profile", "-p", metavar="FILE", help="Also show which checks apply to this stack."),
    ] = None,
    checks: ChecksOption = None,
) -> None:
    """List all checks."""
    from verifier.commands.listing import print_checks

    print_checks(profile, checks or ())


@app.command()
def explain(
    check_id: Annotated[str, typer.Argument(metavar="ID", help="ID of the check, such as USR-01.")],
    profile: ProfileOption = DEFAULT_PROFILE,
    checks: ChecksOption = None,
) -> None:
    """Show what a check compares, and with which queries.

    Also shows why the check exists and which privileges it needs. Queries need a profile.
    """
    from verifier.commands.explain import explain_check

    explain_check(check_id, profile, checks or ())


@app.command()
def init(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Write the profile to this file.")
    ] = DEFAULT_PROFILE,
    stack: Annotated[str, typer.Option(metavar="NAME", help="Name of the stack.")] = "my-stack",
    user_db: Annotated[str | None, typer.Option(metavar="URL", help="PostgreSQL of the user-service.")] = None,
    chat_db: Annotated[str | None, typer.Option(metavar="URL", help="PostgreSQL of the chat-service.")] = None,
    mongo: Annotated[str | None, typer.Option(metavar="URL", help="MongoDB of the chat-service.")] = None,
    redis: Annotated[str | None, typer.Option(metavar="URL", help="Redis.")] = None,
    rabbitmq: Annotated[str | None, typer.Option(metavar="URL", help="RabbitMQ management API.")] = None,
    openim: Annotated[str | None, typer.Option(metavar="URL", help="OpenIM API.")] = None,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Inspect a stack and write a profile for it.

    The stores are only read. The profile is commented and meant to be edited.
    Secrets are not written to the profile; it refers to environment variables instead.
    """
    from verifier.commands.init import Addresses, write_draft

    addresses = Addresses(user_db=user_db, chat_db=chat_db, mongo=mongo, redis=redis, rabbitmq=rabbitmq, openim=openim)
    raise typer.Exit(write_draft(output, stack, addresses, force=force))


@app.command()
def doctor(profile: ProfileOption = DEFAULT_PROFILE, checks: ChecksOption = None) -> None:
    """Check connections, privileges, clocks and versions, and which invariants will not be judged because of the profile.

    A credential that can write is refused, unless the profile allows it.

    Exit codes: 0 no problems, 2 a store or relation cannot be read, a privilege is missing, or a critical invariant needs
    what the profile does not map, 3 a credential is refused.
    """
    from verifier.commands.doctor import examine

    raise typer.Exit(examine(profile, checks or []))


@app.command()
def baseline(profile: ProfileOption = DEFAULT_PROFILE, only: OnlyOption = None, checks: ChecksOption = None) -> None:
    """Take the baseline that later runs compare with.

    Take it at the start of each phase. Checks that need a baseline are inconclusive without one.

    Exit codes: 0 all taken, 2 a store could not be read.
    """
    from verifier.commands.baseline import take_baseline

    raise typer.Exit(take_baseline(profile, only=only or (), checks=checks or ()))


@app.command()
def run(
    profile: ProfileOption = DEFAULT_PROFILE,
    only: OnlyOption = None,
    checks: ChecksOption = None,
    phase: Annotated[
        str | None,
        typer.Option(
            metavar="PHASE",
            help="Judge as if the stack were in this phase (what-if). Findings and watermarks are not stored.",
        ),
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Severities that count for exit code 1: C critical, H high, M medium, I info."
        ),
    ] = "C,H,M,I",
    max_runtime: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Stop after this time. Checks not judged by then are inconclusive."),
    ] = None,
    pause_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Send nothing to the stores while this file exists. --max-runtime keeps counting."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Resume the last run if it was interrupted and can be resumed, else start a new one."
        ),
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write a JSON report ('-' for standard output).")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit XML report.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a self-contained HTML report.")] = None,
    audit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every statement sent to the stores, with counts, as JSON lines."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print all findings.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
) -> None:
    """Judge every check against the stack.

    Exit codes: 0 everything applicable holds, 1 violated, 2 inconclusive, 3 usage or profile error, 4 a report could not
    be written, 130 interrupted. If several apply, the first of 130, 1, 2, 4 is returned.
    """
    from verifier.commands.run import Outputs, run_checks
    from verifier.engine.session import Pace

    raise typer.Exit(
        run_checks(
            profile,
            only=only or (),
            phase=phase,
            fail_on=parse_severities(fail_on),
            pace=Pace(max_runtime_s=max_runtime, resume=resume, pause_file=pause_file),
            checks=checks or (),
            outputs=Outputs(json=json_path, junit=junit, html=html, audit=audit, quiet=quiet, verbose=verbose),
        )
    )


@app.command()
def recheck(
    fingerprint: Annotated[str, typer.Argument(help="Fingerprint of the finding, or an unambiguous prefix.")],
    profile: ProfileOption = DEFAULT_PROFILE,
    checks: ChecksOption = None,
) -> None:
    """Check one finding again.

    Exit codes: 0 healed, 1 still there, 2 inconclusive.
    """
    from verifier.commands.recheck import recheck_finding

    raise typer.Exit(recheck_finding(fingerprint, profile, checks or ()))


@app.command()
def history(
    profile: ProfileOption = DEFAULT_PROFILE,
    findings: Annotated[bool, typer.Option(help="List findings instead of runs.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", help="Number of entries to list.")] = 20,
) -> None:
    """List earlier runs, or the findings that have not healed."""
    from verifier.commands.history import print_history

    print_history(profile, findings=findings, limit=limit)


@app.command()
def accept(
    check_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="IDs to accept. Without IDs, list the pending checks.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Accept all pending checks.")] = False,
    profile: ProfileOption = DEFAULT_PROFILE,
    checks: ChecksOption = None,
) -> None:
    """Accept pending checks, so that they count in the exit code.

    A check that came with an upgrade is pending until it is accepted.
    """
    from verifier.commands.accept import accept_checks

    raise typer.Exit(accept_checks(profile, ids=check_ids or (), everything=everything, checks=checks or ()))


@app.command("can-advance")
def can_advance(
    to: Annotated[
        str, typer.Option(metavar="PHASE", help="The next phase: registered, cutover, frozen or decommissioned.")
    ],
    profile: ProfileOption = DEFAULT_PROFILE,
    checks: ChecksOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the conditions as JSON.")] = False,
) -> None:
    """Show whether the stack may advance to its next phase.

    Exit codes: 0 it may, 1 a condition is not met, 2 a condition is unknown.
    """
    from verifier.commands.can_advance import can_advance as judge

    raise typer.Exit(judge(profile, to=to, checks=checks or (), as_json=as_json))


@app.command()
def serve(
    profile: ProfileOption = DEFAULT_PROFILE,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="Port to listen on; 0 chooses a free one.")] = 9187,
    checks: ChecksOption = None,
) -> None:
    """Run on a schedule, and serve report, health and metrics.

    The schedule is [schedule] of the profile. The report is at /, health at /healthz, Prometheus metrics at /metrics.
    """
    from verifier.service.serve import serve_forever

    raise typer.Exit(serve_forever(profile, host=host, port=port, checks=checks or ()))


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Maps Typer's exit codes to the documented ones, and errors to messages without a traceback."""
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
    except Exception as error:
        _unexpected(error)


def _unexpected(error: Exception) -> None:
    from verifier.history.errors import HistoryError
    from verifier.model.redact import clean

    if isinstance(error, HistoryError):
        print(f"verifier: {clean(str(error))}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    print(f"verifier: internal error: {type(error).__name__}: {clean(str(error))}", file=sys.stderr)
    print("This is a bug; please report it. Set VERIFIER_DEBUG=1 to see the traceback.", file=sys.stderr)
    import os
    import traceback

    if os.environ.get("VERIFIER_DEBUG"):
        traceback.print_exception(error)
    sys.exit(ExitCode.INTERNAL)
