"""`init`: inspect a stack, read-only, and write a commented profile to start from."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.table import Table

from verifier.init.draft import Draft, draft
from verifier.init.survey import Addresses, look
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode
from verifier.profile import ProfileError, parse_profile

__all__ = ["Addresses", "propose"]

_STYLES = {"found": "green", "like": "yellow", "missing": "red", "unseen": "bright_black"}
_WORDS = {"found": "found", "like": "check", "missing": "not found", "unseen": "not inspected"}


def propose(output: Path, stack: str, addresses: Addresses, *, force: bool) -> ExitCode:
    """Write the proposed profile. Exit: 0 written, 2 written but a given store could not be inspected.

    Raises ProfileError if the file exists already or cannot be written.
    """
    _refuse_overwriting(output, force=force)
    console = Console(highlight=False)
    with console.status("inspecting the stack…"):
        survey = asyncio.run(look(addresses))
    proposal = draft(stack, addresses, survey)
    # A proposal that does not load is a bug; raise here instead of writing it.
    parse_profile(proposal.text, name="the proposal", environment=dict.fromkeys(proposal.variables, "unset"))
    _write(output, proposal.text, force=force)
    _print_remarks(console, output, proposal)
    for reason in survey.failures.values():
        console.print(f"not inspected: {clean(reason)}", style="yellow", markup=False)
    _next_steps(console, output, proposal)
    return ExitCode.INCONCLUSIVE if survey.failures else ExitCode.HOLDS


def _refuse_overwriting(output: Path, *, force: bool) -> None:
    if output.exists() and not force:
        raise ProfileError(f"{output} exists already. Choose another file with --output, or overwrite it with --force.")


def _write(output: Path, text: str, *, force: bool) -> None:
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _refuse_overwriting(output, force=force)
    except OSError as error:
        raise ProfileError(f"cannot write {output}: {error.strerror}.") from None


def _print_remarks(console: Console, output: Path, proposal: Draft) -> None:
    if proposal.remarks:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("section", "", "what was found"):
            table.add_column(heading, overflow="fold")
        for item in proposal.remarks:
            table.add_row(
                item.section, f"[{_STYLES[item.state]}]{_WORDS[item.state]}[/]", item.detail.replace("[", r"\[")
            )
        console.print(table)
    console.print(f"\nwrote {output}", markup=False, style="bold")


def _next_steps(console: Console, output: Path, proposal: Draft) -> None:
    profile = "" if str(output) == "stack.toml" else f" --profile {output}"
    steps = [
        f"review {output}: `check` marks a guess; set phase and [since]",
        f"export {' '.join(proposal.variables)}" if proposal.variables else "",
        f"verifier doctor{profile}",
        f"verifier baseline{profile}",
        f"verifier run{profile}",
    ]
    console.print("next:", *(f"  {step}" for step in steps if step), sep="\n", markup=False, soft_wrap=True)
