"""`doctor`: check connections, privileges, clocks and relations of a stack before the first run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.engine.plan import Plan, make_plan, unmapped
from verifier.model.query import Rows
from verifier.model.redact import clean
from verifier.model.text import plural
from verifier.model.verdict import ExitCode, Verdict
from verifier.profile import NotMapped, Profile, load_profile
from verifier.profile.roles import GatewayRole
from verifier.stores.builtin.table import BUILT_IN
from verifier.stores.errors import StoreError
from verifier.stores.pool import Stores, make_store
from verifier.stores.protocols import Store

_STYLE = {
    "ok": "green",
    "guarded": "green",
    "notice": "yellow",
    "unknown": "yellow",
    "too_many": "bold red",
    "missing": "red",
    "failed": "red",
}
_WORD = {"too_many": "TOO MANY", "failed": "FAILED", "missing": "MISSING"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report."""

    role: str
    what: str
    state: str
    detail: str


def examine(profile_path: Path, checks: Sequence[Path] = ()) -> ExitCode:
    """Check every role and relation. Exit: 0 no problems, 2 something could not be checked, 3 a credential is refused.

    Raises ProfileError for a profile that cannot be used.
    """
    profile = load_profile(profile_path)
    plan = make_plan(load_checks(checks), profile)
    console = Console()
    with console.status("checking the stack…"):
        lines = asyncio.run(_lines(profile)) + _unmapped_lines(profile, plan)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("role", "what", "state", "detail"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(
            line.role, line.what, f"[{_STYLE[line.state]}]{_WORD.get(line.state, line.state)}[/]", clean(line.detail)
        )
    console.print(table)
    writing = [line for line in lines if line.state == "too_many"]
    failed = [line for line in lines if line.state in ("failed", "missing")]
    refused = [line for line in writing if not getattr(profile.roles.get(line.role), "allow_writing_credential", False)]
    if refused:
        console.print(
            f"\nREFUSED: {', '.join(sorted({line.role for line in refused}))} can write. The verifier must not be able to change the "
            "stores it judges: give it a read-only credential, or set allow_writing_credential = true for the role.",
            style="bold red",
        )
        return ExitCode.USAGE
    if failed:
        console.print(
            f"\n{len(failed)} {plural('problem', len(failed))}: the checks concerned will be inconclusive.",
            style="red",
        )
        return ExitCode.INCONCLUSIVE
    console.print("\nno problems. Next: verifier baseline, then verifier run", style="green")
    return ExitCode.HOLDS


def _unmapped_lines(profile: Profile, plan: Plan) -> list[Line]:
    """The invariants of this phase that need what the profile does not map."""
    lines = []
    for check in plan.checks:
        if plan.why_not(check) is not None:
            continue
        try:
            check.proofs(profile)
        except NotMapped as missing:
            judgement = unmapped(check, profile, missing)
            state = "missing" if judgement.verdict is Verdict.INCONCLUSIVE else "notice"
            lines.append(Line("profile", f"{check.id} will not be judged", state, judgement.reason))
        except NotApplicable:
            continue
    return lines


async def _lines(profile: Profile) -> list[Line]:
    lines: list[Line] = []
    for name, config in profile.roles.named().items():
        if isinstance(config, GatewayRole):
            continue
        store = make_store(name, config)
        try:
            lines += await _store_lines(store, profile)
        finally:
            await store.close()
    return lines + await _relation_lines(profile)


async def _store_lines(store: Store, profile: Profile) -> list[Line]:
    name = store.role
    try:
        await store.connect()
        lines = [Line(name, "connection", "ok", await store.version())]
        before = datetime.now(UTC)
        theirs = await store.clock()
        middle = before + (datetime.now(UTC) - before) / 2
        skew_s = (theirs - middle).total_seconds()
        state = "ok" if abs(skew_s) <= profile.timing.clock_skew_max_s else "notice"
        lines.append(
            Line(
                name,
                "clock",
                state,
                f"{skew_s:+.3f} s against the local clock (bound {profile.timing.clock_skew_max_s:g} s)",
            )
        )
        lines += [Line(name, item.what, item.state, item.detail) for item in await store.privileges()]
    except StoreError as error:
        return [Line(name, "connection", "failed", str(error))]
    return lines


async def _relation_lines(profile: Profile) -> list[Line]:
    """Check that each mapped relation can be read: one look-up of a key that does not exist."""
    lines: list[Line] = []
    advice: list[Line] = []
    stores = Stores(profile, refuse_writers=False)
    try:
        for name, relation in profile.relations.items():
            if name in BUILT_IN or relation.keys:
                continue
            try:
                source = await stores.source(Rows(name, tuple(relation.columns)))
                await source.lookup(relation.key[0], ["00000000-0000-0000-0000-000000000000"])
                advice += await _advice(stores, profile, name)
            except (StoreError, NotMapped) as error:
                lines.append(Line(relation.role, f"relation {name}", "missing", str(error)))
    finally:
        await stores.close()
    if not lines:
        lines.append(Line("profile", "relations", "ok", f"all {len(profile.relations)} mapped relations can be read"))
    return lines + advice


async def _advice(stores: Stores, profile: Profile, name: str) -> list[Line]:
    """What would let a store name every write to a shared object."""
    lines = []
    for home in profile.homes(name):
        relation = profile.relation(home)
        if not relation.neighbours and not relation.where:
            continue
        observer = await stores.observer("relation", home, ())
        if text := await observer.recommendation():
            lines.append(Line(relation.role, f"relation {name}", "notice", text))
    return lines
