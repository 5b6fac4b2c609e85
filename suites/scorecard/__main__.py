"""`python -m suites.scorecard`: run the fault catalogue on platforms with background traffic, and write the scorecard.

Exit code 0: every case was answered correctly; 1: a breach was missed, a look-alike reported, an unknowable case not admitted,
or there was an unexplained finding or inconclusive verdict; 2: it could not be run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from fixtures.faults import CATALOGUE
from fixtures.stack.stack import Stack
from suites.scorecard import page, run, shapes
from suites.scorecard.score import Card

DOCS = Path("docs/scorecard.md")
JSON = Path("reports/out/scorecard.json")


def main() -> int:
    """Parse the arguments, run, print and write."""
    parser = argparse.ArgumentParser(prog="python -m suites.scorecard", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of users, traffic and order (default 1)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="ID", help="cases to run, or checks whose cases to run"
    )
    parser.add_argument("--markdown", type=Path, help=f"file for the summary (default {DOCS}, with --only none)")
    parser.add_argument("--html", type=Path, help="also write the summary as one HTML file")
    parser.add_argument(
        "--json", type=Path, default=JSON, help=f"file for `python -m reports` and other programs (default {JSON})"
    )
    parser.add_argument(
        "--shape",
        choices=shapes.CHOICES,
        help="run the cases of generated platforms instead: the ordinary shape, drawn ones, or the covering array of all pairs",
    )
    parser.add_argument(
        "--shapes", type=int, default=0, metavar="N", help="how many shapes, from --seed on (random: 1; covering: all)"
    )
    arguments = parser.parse_args()
    if arguments.shape:
        return _shapes(arguments)
    only = run.select_cases(arguments.only)
    if arguments.only and not only:
        say(
            f"There is no case or check named {', '.join(arguments.only)}. Cases have ids like {next(iter(CATALOGUE)).id}."
        )
        return 2
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scorecard-") as scratch, Stack.start(Path(scratch)) as stack:
        card = run.run_catalogue(stack, seed=arguments.seed, only=only, say=say)
    card.took_s = time.monotonic() - started
    command = f"python -m suites.scorecard --seed {arguments.seed}"
    sys.stdout.write(page.markdown(card, command))
    target = arguments.markdown or (None if only else DOCS)
    _write(card, command, markdown=target, html=arguments.html, as_json=arguments.json)
    return 0 if card.clean else 1


def _shapes(arguments: argparse.Namespace) -> int:
    only = shapes.select_cases(arguments.only)
    if arguments.only and not only:
        say(f"There is no case of generated platforms, and no check, named {', '.join(arguments.only)}.")
        return 2
    chosen = shapes.chosen(arguments.shape, seed=arguments.seed, count=arguments.shapes)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shapes-") as scratch, Stack.start(Path(scratch)) as stack:
        card = shapes.run_shapes(stack, chosen, only=only, say=say)
    card.took_s = time.monotonic() - started
    command = f"python -m suites.scorecard --shape {arguments.shape} --seed {arguments.seed}"
    command += f" --shapes {arguments.shapes}" if arguments.shapes else ""
    sys.stdout.write(page.markdown(card, command))
    _write(card, command, markdown=arguments.markdown, html=arguments.html, as_json=arguments.json)
    return 0 if card.clean else 1


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(text + "\n")


def _write(card: Card, command: str, *, markdown: Path | None, html: Path | None, as_json: Path | None) -> None:
    if markdown is not None:
        markdown.write_text(page.markdown(card, command), encoding="utf-8")
    if html is not None:
        html.write_text(page.page(card, command), encoding="utf-8")
    if as_json is not None:
        as_json.parent.mkdir(parents=True, exist_ok=True)
        as_json.write_text(json.dumps(card.to_json(command), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
