"""`python -m suites.scorecard`: run the fault catalogue against living platforms under steady traffic, and keep the score.

Exit code 0: everything was answered rightly; 1: a breach was missed, a look-alike reported, something unknowable not admitted,
or something said without a cause; 2: it could not be run.
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
from suites.scorecard import page, run
from suites.scorecard.score import Card

DOCS = Path("docs/scorecard.md")
JSON = Path("reports/out/scorecard.json")


def main() -> int:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m suites.scorecard", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the people, the traffic and the order (default 1)")
    parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="cases, or checks whose cases are run")
    parser.add_argument("--markdown", type=Path, help=f"where the summary goes (default {DOCS}, with --only nowhere)")
    parser.add_argument("--html", type=Path, help="also as one HTML file")
    parser.add_argument(
        "--json", type=Path, default=JSON, help=f"for `python -m reports`, and for machines (default {JSON})"
    )
    arguments = parser.parse_args()
    only = run.select_cases(arguments.only)
    if arguments.only and not only:
        say(f"No case is called {', '.join(arguments.only)}. Cases look like {next(iter(CATALOGUE)).id}.")
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


def say(text: str) -> None:
    """A line of progress."""
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
