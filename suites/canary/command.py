"""The canary: `python -m suites.canary --profile stack.toml`. It is the only part of this project that writes to a user's stack.

Two reserved users log in, connect to OpenIM's WebSocket through the gateway, send messages to each other over it and through the
platform, read them back, check their pushes, replay a nonce, try to act as each other, try the old websocket, and log in on a second
platform. If the adapter can query the receiver of webhooks, they check that too. Everything is recorded in a journal, which this command judges at once and `verifier run` judges later.
Exit codes are the verifier's: 0 holds, 1 violated, 2 inconclusive, 3 usage or profile error, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fixtures.clients.actions import Adapter
from suites.canary.parts import AnswerObserver, CanaryOptions, CanaryStopped
from suites.canary.steps import CanaryRun
from verifier.commands.exit_codes import run_command
from verifier.judges.canary import CANARY_SETTLE_S, judge_canary_delivery, judge_canary_order
from verifier.judges.devices import judge_two_platforms
from verifier.judges.gateway import judge_gateway
from verifier.judges.journal import SUFFIX, JournalError, JournalWriter
from verifier.judges.journal_reader import JournalReader
from verifier.judges.judgement import JournalJudgement
from verifier.judges.lag import judge_lag
from verifier.judges.operation import Operation
from verifier.judges.platform import judge_legacy_websocket, judge_nonce
from verifier.judges.pushes import judge_push_once
from verifier.judges.webhooks import judge_webhooks
from verifier.model.invariant import Phase
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode, Verdict
from verifier.profile import Profile, ProfileError, load_profile
from verifier.profile.canary import Canary

ENTRY_POINTS = "openim_ssot.adapters"
JOURNALS_KEPT = 30
SETTLE_S, ARRIVAL_S, WARM_UP_S = CANARY_SETTLE_S, 20.0, 1.5
"""Seconds: how long an acknowledged message may take to become readable, how long the canary then waits for the last one, and how
long after its connect a WebSocket may miss pushes [F119]."""

_SHOWN = 5
_DEADLINE_S = 120.0
_SYMBOLS = {Verdict.HOLDS: "✔", Verdict.VIOLATED: "✘", Verdict.INCONCLUSIVE: "?"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def canary(
    profile: Annotated[Path, typer.Option("--profile", "-p", envvar="VERIFIER_PROFILE", help="Profile of the stack.")],
    journal: Annotated[
        Path | None,
        typer.Option(help="Journal to write: a file or a directory. Default: canary.journal of the profile."),
    ] = None,
    messages: Annotated[int, typer.Option(min=1, max=100, help="Messages that each canary user sends.")] = 5,
) -> None:
    """Run the canary on a stack, record a journal, and judge it."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    try:
        stack = load_profile(profile)
        settings = _settings(stack)
        path = run_canary(stack, settings, journal or Path(settings.journal), messages=messages, console=console)
        code = show(judge(JournalReader(path), stack), path, console)
    except (ProfileError, JournalError) as error:
        console.print(f"canary: {clean(str(error))}")
        raise typer.Exit(ExitCode.USAGE) from error
    raise typer.Exit(code)


def run_canary(stack: Profile, settings: Canary, place: Path, *, messages: int, console: Console) -> Path:
    """Run the canary on a stack. Returns the journal, which also contains what failed on the stack.

    Raises ProfileError if the profile names no usable adapter, JournalError if the journal cannot be written.
    """
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    observer = AnswerObserver()
    adapter = _adapter(stack, settings, observer)
    first, second = settings.users[:2]
    options = CanaryOptions(
        users=(first, second),
        run_id=run_id,
        messages=messages,
        settle_s=SETTLE_S,
        deadline_s=ARRIVAL_S,
        warm_up_s=WARM_UP_S,
    )
    with _recording(place, run_id, stack.stack) as (writer, path):
        try:
            asyncio.run(_run(adapter, CanaryRun(adapter, observer, writer, options)))
        except CanaryStopped as error:
            console.print(f"canary: stopped early: {clean(str(error))}")
        except TimeoutError:
            console.print(f"canary: stopped after {_DEADLINE_S:.0f} s: the stack answers too slowly.")
    return path


def judge(operations: Iterable[Operation], stack: Profile) -> dict[str, JournalJudgement]:
    """The judgements that apply to this stack in its phase, by invariant."""
    recorded = list(operations)
    found: dict[str, JournalJudgement | None] = {
        "MSG-04 delivery": judge_canary_delivery(recorded, settle_s=SETTLE_S),
        "MSG-04 order": judge_canary_order(recorded),
        "GW-01 gateway": judge_gateway(recorded, delivery=stack.token.delivery),
        "MQ-05 push once": judge_push_once(recorded),
        "KEEP-01 nonce": judge_nonce(recorded),
        "TOK-07 second device": judge_two_platforms(recorded, second_device=stack.token.second_device),
        "WHK-01 webhooks": judge_webhooks(
            recorded,
            enabled=stack.webhooks.enabled,
            after_rate=stack.webhooks.after_rate,
            failure=stack.webhooks.failure,
        ),
    }
    if stack.canary is not None:
        found["LAG-01 lag"] = judge_lag(recorded, bound_s=stack.canary.lag_max_s)
    if stack.phase.reached(Phase.FROZEN):
        found["WS-01 old websocket"] = judge_legacy_websocket(recorded)
    return {name: judgement for name, judgement in found.items() if judgement is not None}


def show(judgements: Mapping[str, JournalJudgement], path: Path, console: Console) -> ExitCode:
    """Print the judgements. Returns the exit code. Without any judgement it is inconclusive."""
    table = Table("", "invariant", "verdict", "coverage", box=None, pad_edge=False)
    for name, judgement in judgements.items():
        text = clean(judgement.reason or str(judgement.coverage))
        table.add_row(_SYMBOLS.get(judgement.verdict, " "), name, judgement.verdict.value, text)
    console.print(table, soft_wrap=False)
    for name, judgement in judgements.items():
        for problem in judgement.problems[:_SHOWN]:
            console.print(f"{name}: {clean(problem.summary)}: {clean(problem.actual)}")
        if judgement.problems_total > _SHOWN:
            console.print(f"{name}: and {judgement.problems_total - _SHOWN} more")
        for note in judgement.notes:
            console.print(f"{name}: note: {clean(note)}")
    console.print(f"journal: {path}")
    verdicts = {judgement.verdict for judgement in judgements.values()}
    if Verdict.VIOLATED in verdicts:
        return ExitCode.VIOLATED
    return ExitCode.HOLDS if verdicts == {Verdict.HOLDS} else ExitCode.INCONCLUSIVE


async def _run(adapter: Adapter, run: CanaryRun) -> None:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await run.run()
    finally:
        await adapter.close()


def _settings(stack: Profile) -> Canary:
    if stack.canary is None:
        raise ProfileError(
            "the canary is off: the profile has no [canary]. Add journal, adapter and two users reserved for it."
        )
    if len(stack.canary.users) < 2:
        raise ProfileError(f"canary.users lists {len(stack.canary.users)} users; the canary needs two reserved users.")
    return stack.canary


def _adapter(stack: Profile, settings: Canary, observer: AnswerObserver) -> Adapter:
    """Load the adapter `module:attribute`, or the entry point of that name. Raises ProfileError."""
    name = settings.adapter
    if not name:
        raise ProfileError(
            "canary.adapter is not set: it names the class that logs in and sends on this platform, as 'package.module:Factory'."
        )
    try:
        factory: Any
        if ":" in name:
            module, _, attribute = name.partition(":")
            factory = getattr(importlib.import_module(module), attribute)
        else:
            (entry,) = entry_points(group=ENTRY_POINTS, name=name)
            factory = entry.load()
    except (ImportError, AttributeError, ValueError) as error:
        raise ProfileError(
            f"canary.adapter {name!r} cannot be loaded: {error}. Give 'package.module:Factory', or the name of an "
            f"installed entry point of the group {ENTRY_POINTS}."
        ) from error
    if not callable(factory):
        raise ProfileError(
            f"canary.adapter {name!r} is not a factory: it must be callable with the profile and a function."
        )
    adapter: Adapter = factory(stack, observer.observe)
    return adapter


@contextmanager
def _recording(place: Path, run_id: str, stack: str) -> Iterator[tuple[JournalWriter, Path]]:
    """A writer, and the path of its journal when it is finished.

    A directory keeps the newest `JOURNALS_KEPT` journals. A file is replaced in one step at the end, so that
    a verifier never reads an incomplete one.
    """
    if place.is_dir() or place.suffix != SUFFIX:
        path = place / f"canary-{run_id}{SUFFIX}"
        with JournalWriter(path, run_id=run_id, kind="canary", stack=stack) as writer:
            yield writer, path
        by_age = sorted(place.glob(f"canary-*{SUFFIX}"), key=lambda found: found.stat().st_mtime_ns)
        for old in by_age[:-JOURNALS_KEPT]:
            old.unlink(missing_ok=True)
        return
    unfinished = place.with_name(f".{place.name}.{run_id}.part")
    writer = JournalWriter(unfinished, run_id=run_id, kind="canary", stack=stack)
    try:
        with writer:
            yield writer, place
    finally:
        # Also after an interrupted run: keeping the old journal would hide the interruption.
        unfinished.replace(place)


def main() -> int:
    """Run the command line. Returns its exit code."""
    # One line per request would hide the result.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return run_command(app)
