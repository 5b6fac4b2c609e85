"""`init`: inspect the stores, read-only, and write a commented draft of a profile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verifier.init.addresses import Addresses
from verifier.init.draft import Draft, draft
from verifier.init.section_writer import State
from verifier.init.survey import inspect
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode
from verifier.profile import ProfileError, parse_profile
from verifier.render.console import make_console

__all__ = ["Addresses", "write_draft"]

_STYLES: Mapping[State, str] = {
    "found": "green",
    "similar": "yellow",
    "missing": "red",
    "not_inspected": "bright_black",
}
_WORDS: Mapping[State, str] = {
    "found": "found",
    "similar": "check",
    "missing": "not found",
    "not_inspected": "not inspected",
}


def write_draft(output: Path, stack: str, addresses: Addresses, *, force: bool) -> ExitCode:
    """Write the draft. Exit: 0 written; 2 written, but a given store could not be inspected.

    Raises ProfileError if the file exists or cannot be written.
    """
    _refuse_overwriting(output, force=force)
    console = make_console()
    with console.status("inspecting the stores…"):
        survey = asyncio.run(inspect(addresses))
    written = draft(stack, addresses, survey)
    # What is written must load. A fault here is a bug of this command, so it must not reach the user's file.
    parse_profile(written.text, name="the draft", environment=dict.fromkeys(written.variables, "unset"))
    _write(output, written.text, force=force)
    _print_remarks(console, output, written)
    for reason in survey.failures.values():
        console.print(f"not inspected: {clean(reason)}", style="yellow")
    _next_steps(console, output, written)
    return ExitCode.INCONCLUSIVE if survey.failures else ExitCode.HOLDS


def _refuse_overwriting(output: Path, *, force: bool) -> None:
    if output.exists() and not force:
        raise ProfileError(f"{output} already exists. Choose another file with --output, or overwrite it with --force.")


def _write(output: Path, text: str, *, force: bool) -> None:
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _refuse_overwriting(output, force=force)
    except OSError as error:
        raise ProfileError(f"cannot write {output}: {error.strerror}.") from None


def _print_remarks(console: Console, output: Path, written: Draft) -> None:
    if written.remarks:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("section", "", "what was found"):
            table.add_column(heading, overflow="fold")
        for item in written.remarks:
            table.add_row(item.section, Text(_WORDS[item.state], style=_STYLES[item.state]), item.detail)
        console.print(table)
    console.print(f"\nwrote {output}", style="bold")


def _next_steps(console: Console, output: Path, written: Draft) -> None:
    profile = "" if str(output) == "stack.toml" else f" --profile {output}"
    steps = [
        f"read {output} through: `check` marks a guess; set phase and [since]",
        f"export {' '.join(written.variables)}" if written.variables else "",
        f"verifier doctor{profile}",
        f"verifier baseline{profile}",
        f"verifier run{profile}",
    ]
    console.print("next:", *(f"  {step}" for step in steps if step), sep="\n", soft_wrap=True)
