"""`python -m suites.contract.openim`: compare a server with the recordings, record a server, compare two recordings.

    python -m suites.contract.openim                                     the double's parity table
    python -m suites.contract.openim replay --openim-api http://host:10002 --openim-ws ws://host:10001 …
    python -m suites.contract.openim record --openim-api … --openim-ws … --out DIR
    python -m suites.contract.openim diff OLD NEW                        recordings, API[,WS] of live servers, or `double`

Exit codes: 0 equal, 1 different, 3 an argument or a server cannot be used, 4 an output cannot be written.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from suites.contract.openim import diff as comparison
from suites.contract.openim.diff import SideError
from suites.contract.openim.parity import parity
from suites.contract.openim.preflight import PreflightError, check_server
from suites.contract.openim.record import record as record_server
from suites.contract.openim.render import show, write_junit
from suites.contract.openim.rest import recording as rest_recording
from suites.contract.openim.server import Server, ServerError, from_environment
from suites.contract.openim.shared.recording_files import REST_FILE, WS_FILE
from suites.contract.openim.ws import recording as ws_recording
from suites.contract.openim.ws.accounts import AccountError
from verifier.model.verdict import ExitCode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

Api = Annotated[str, typer.Option("--openim-api", envvar="OPENIM_API", help="REST address of a live OpenIM server.")]
Ws = Annotated[
    str, typer.Option("--openim-ws", envvar="OPENIM_WS", help="Its WebSocket address; without it only REST is used.")
]
Secret = Annotated[
    str, typer.Option("--openim-secret", envvar="OPENIM_SECRET", help="share.secret of the server.", show_default=False)
]
Admin = Annotated[
    str, typer.Option("--openim-admin", envvar="OPENIM_ADMIN", help="One of the imAdminUser.userIDs of the server.")
]
_DIFFERS = 1


def _server(api: str, ws: str, secret: str, admin: str) -> Server | None:
    names = {"OPENIM_API": api, "OPENIM_WS": ws, "OPENIM_SECRET": secret, "OPENIM_ADMIN": admin}
    if ws and not api:
        raise ServerError("a WebSocket address alone is not enough: users are created over REST. Add --openim-api.")
    return from_environment(names)


@app.callback(invoke_without_command=True)
def main_command(context: typer.Context) -> None:
    """Compare an OpenIM server with the recordings of a real one.

    Without a command: `replay` to the double, or to the server in OPENIM_API.
    """
    if context.invoked_subcommand is None:
        context.invoke(replay)


@app.command()
def replay(
    api: Api = "",
    ws: Ws = "",
    secret: Secret = "",
    admin: Admin = "",
    recordings: Annotated[
        Path | None, typer.Option(help="A directory written by `record`, to replay instead of the newest recording.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the table as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the table as JUnit XML.")] = None,
) -> int:
    """Replay the recordings and print the parity table."""
    server = _server(api, ws, secret, admin)
    cases = rest_recording.load(recordings / REST_FILE) if recordings else None
    sessions = ws_recording.load(recordings / WS_FILE) if recordings else None

    async def run() -> Any:
        if server is not None:
            await check_server(server)
        return await parity(server, cases, sessions)

    found = asyncio.run(run())
    show(found, _console())
    if json_file is not None:
        text = json.dumps(found.document(), indent=2, ensure_ascii=False)
        json_file.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    if junit is not None:
        write_junit(found, junit)
    return 0 if found.agrees else _DIFFERS


@app.command()
def record(
    out: Annotated[Path, typer.Option(help="The directory to write to.")],
    api: Api = "",
    ws: Ws = "",
    secret: Secret = "",
    admin: Admin = "",
) -> int:
    """Record the REST cases and WebSocket sessions of a live server or the double."""
    server = _server(api, ws, secret, admin)

    async def run() -> Any:
        if server is not None:
            await check_server(server)
        return await record_server(server)

    found = asyncio.run(run())
    found.write(out)
    _console().print(f"{out}: {len(found.cases)} REST cases, {len(found.sessions)} WebSocket sessions")
    return 0


@app.command()
def diff(old: str, new: str, secret: Secret = "", admin: Admin = "") -> int:
    """Print what a client of OLD would notice with NEW.

    Each is a recording (a file, or a directory with both), API[,WS] of a live server, or `double`.
    """
    given = from_environment({"OPENIM_API": "http://any", "OPENIM_SECRET": secret, "OPENIM_ADMIN": admin})
    assert given is not None

    async def run() -> Any:
        return [await comparison.side(name, secret=given.secret, admin=given.admin) for name in (old, new)]

    one, other = asyncio.run(run())
    found = comparison.compare(one, other)
    console = _console()
    for text in comparison.not_compared(one, other):
        console.print(f"not compared: {escape(text)}")
    for one_difference in found:
        console.print(f"[bold]{escape(one_difference.where)}[/bold]: {escape(one_difference.what)}")
    compared = f"{len(one.cases)} REST cases, {len(one.sessions)} WebSocket sessions"
    if found:
        console.print(f"{len(found)} differences in {compared}.")
    else:
        console.print(f"A client would notice nothing ({compared}).")
    return _DIFFERS if found else 0


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False)


def main() -> int:
    """Run a command. Errors are printed as one sentence."""
    try:
        return int(app(standalone_mode=False) or 0)
    except (ServerError, SideError, AccountError, PreflightError) as error:
        sys.stderr.write(f"contract: {error}\n")
        return ExitCode.USAGE
    except httpx.HTTPError as error:
        sys.stderr.write(f"contract: the server stopped answering ({str(error) or type(error).__name__}).\n")
        return ExitCode.USAGE
    except typer.TyperException as error:
        sys.stderr.write(f"contract: {getattr(error, 'format_message', error.__str__)()}\n")
        return ExitCode.USAGE
    except OSError as error:
        sys.stderr.write(f"contract: {error.filename or 'a file'} cannot be used: {error.strerror}.\n")
        return ExitCode.UNDELIVERED


if __name__ == "__main__":
    sys.exit(main())
