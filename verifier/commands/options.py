"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verifier.model.invariant import Severity

DEFAULT_PROFILE = Path("stack.toml")

ProfileOption = Annotated[
    Path,
    typer.Option("--profile", "-p", metavar="FILE", help="Profile of the stack (TOML).", envvar="VERIFIER_PROFILE"),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="ID", help="Limit to this check or family, such as USR-01 or USR. Repeatable."),
]
ChecksOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--checks", metavar="FILE", help="Load checks of your own (IDs X-...) from a Python file. Repeatable."
    ),
]


def parse_severities(text: str) -> frozenset[Severity]:
    """Parse a list of severities, such as `C,H`. Raises BadParameter."""
    parts = [part.strip().upper() for part in text.split(",") if part.strip()]
    try:
        if parts:
            return frozenset(map(Severity, parts))
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r}: give severities out of C,H,M,I, such as C,H.", param_hint="--fail-on")
