"""Where the commands print: data is never read as markup, and no character that the terminal lacks ends a command."""

from __future__ import annotations

import json
import sys
from io import TextIOWrapper
from typing import Any

from rich.console import Console


def make_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console for text that may hold anything: `[red]`, `:smile:` and numbers are printed as they are.

    Characters that the encoding lacks are replaced.
    """
    console = Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
    replace_unknown_characters(console)
    return console


def replace_unknown_characters(console: Console) -> None:
    """Characters that the encoding of the console lacks are replaced instead of raising."""
    if isinstance(console.file, TextIOWrapper):
        console.file.reconfigure(errors="replace")


def print_json(document: Any) -> None:
    """Print a document on standard output, as JSON that is valid in every encoding of the terminal."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=not encoding.startswith("utf")) + "\n")
