"""Relations in memory for the tests of proofs, with the failures of real stores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from tests.verifier.stores.tables import Counted, Table
from verifier.model.invariant import Phase, Severity
from verifier.model.query import Rows
from verifier.model.verdict import Judgement
from verifier.profile import Profile, parse_profile
from verifier.proofs.context import Context
from verifier.proofs.scope import Scope
from verifier.stores.pool import Stores

__all__ = ["PROFILE", "Counted", "Table", "World", "keys"]

PROFILE = parse_profile('stack = "s"\nphase = "baseline"\n[timing]\nsettle_s = 0\n[roles]\n')


class Executable(Protocol):
    """A proof."""

    async def execute(self, context: Context) -> Judgement:
        """Carry it out."""


class World(Stores):
    """Relations by name, and the memory of earlier runs."""

    def __init__(self, profile: Profile = PROFILE, **tables: Any) -> None:
        super().__init__(profile)
        self.tables = tables
        self.remembered: dict[str, Mapping[str, Any]] = {}

    async def source(self, rows: Rows) -> Any:
        """The table of that name."""
        return self.tables[rows.relation]

    async def clock_of(self, relation: str) -> Any:
        """The local clock."""

        async def clock() -> datetime:
            return datetime.now(UTC)

        return clock

    def fingerprint(self, check_id: str, raw_key: str) -> str:
        """As in `Memory`."""
        return raw_key

    def watermark(self, check_id: str, slot: str) -> Mapping[str, Any] | None:
        """As in `Memory`."""
        return self.remembered.get(slot)

    def positions(self, slot: str) -> list[tuple[Any, str]]:
        """As in `Memory`."""
        return []

    async def run(self, proof: Executable, *, baselining: bool = False, only_key: str | None = None) -> Judgement:
        """One run of a proof; what it remembers is kept, as the engine does."""
        context = Context(
            check_id="X-1", severity=Severity.HIGH, profile=self.profile, phase=Phase.BASELINE, stores=self,
            scope=Scope(self.profile, Phase.BASELINE, self), memory=self, progress=lambda done, total, unit: None,
            baselining=baselining, only_key=only_key,
        )  # fmt: skip
        try:
            return await proof.execute(context)
        finally:
            if only_key is None:
                self.remembered.update(context.watermarks)


def keys(judgement: Judgement) -> list[str]:
    """The keys of the findings."""
    return sorted(item.key for item in judgement.findings)
