"""`doctor`: is everything there, with the right privileges and clocks, before anybody believes a verdict?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from verifier.model.query import Rows
from verifier.model.redact import clean
from verifier.model.verdict import ExitCode
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
class Sign:
    """One line of the examination."""

    role: str
    what: str
    state: str
    detail: str


def examine(profile_path: Path) -> ExitCode:
    """Look at every role and relation. Exit: 0 sound, 2 something could not be known, 3 a credential must be changed."""
    profile = load_profile(profile_path)
    console = Console()
    with console.status("examining the stack…"):
        signs = asyncio.run(_signs(profile))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("role", "what", "state", "detail"):
        table.add_column(heading, overflow="fold")
    for sign in signs:
        table.add_row(
            sign.role, sign.what, f"[{_STYLE[sign.state]}]{_WORD.get(sign.state, sign.state)}[/]", clean(sign.detail)
        )
    console.print(table)
    writing = [sign for sign in signs if sign.state == "too_many"]
    failed = [sign for sign in signs if sign.state in ("failed", "missing")]
    refused = [sign for sign in writing if not getattr(profile.roles.get(sign.role), "allow_writing_credential", False)]
    if refused:
        console.print(
            f"\nREFUSED: {', '.join(sorted({sign.role for sign in refused}))} can write. The verifier must not be able to change what it "
            "judges: give it a read-only credential, or set allow_writing_credential = true for the role.",
            style="bold red",
        )
        return ExitCode.USAGE
    if failed:
        console.print(f"\n{len(failed)} problem(s): the checks that need them will be inconclusive.", style="red")
        return ExitCode.INCONCLUSIVE
    console.print("\nsound: next `verifier baseline`, then `verifier run`", style="green")
    return ExitCode.HOLDS


async def _signs(profile: Profile) -> list[Sign]:
    signs: list[Sign] = []
    for name, config in profile.roles.named().items():
        if isinstance(config, GatewayRole):
            continue
        store = make_store(name, config)
        try:
            signs += await _store_signs(store, profile)
        finally:
            await store.close()
    return signs + await _relation_signs(profile)


async def _store_signs(store: Store, profile: Profile) -> list[Sign]:
    name = store.role
    try:
        await store.connect()
        signs = [Sign(name, "connection", "ok", await store.version())]
        before = datetime.now(UTC)
        theirs = await store.clock()
        middle = before + (datetime.now(UTC) - before) / 2
        skew_s = (theirs - middle).total_seconds()
        state = "ok" if abs(skew_s) <= profile.timing.clock_skew_max_s else "notice"
        signs.append(
            Sign(name, "clock", state, f"{skew_s:+.3f} s against ours (bound {profile.timing.clock_skew_max_s:g} s)")
        )
        signs += [Sign(name, item.what, item.state, item.detail) for item in await store.privileges()]
    except StoreError as error:
        return [Sign(name, "connection", "failed", str(error))]
    return signs


async def _relation_signs(profile: Profile) -> list[Sign]:
    """Whether each mapped relation can be read as it is mapped: one look-up that finds nothing."""
    signs = []
    stores = Stores(profile, refuse_writers=False)
    try:
        for name, relation in profile.relations.items():
            if name in BUILT_IN or relation.keys:
                continue
            try:
                source = await stores.source(Rows(name, tuple(relation.columns)))
                await source.lookup(relation.key[0], ["00000000-0000-0000-0000-000000000000"])
            except (StoreError, NotMapped) as error:
                signs.append(Sign(relation.role, f"relation {name}", "missing", str(error)))
    finally:
        await stores.close()
    if not signs:
        signs.append(Sign("profile", "relations", "ok", f"all {len(profile.relations)} mapped relations can be read"))
    return signs
