"""The rule that decides which conversations and groups are OpenIM's, and since when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from verifier.model.invariant import Phase
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs.lookups import LOOKUP_BATCH
from verifier.stores.pool import Stores
from verifier.stores.protocols import mark_of

Kind = Literal["conversation", "group"]
_COLUMNS: dict[Kind, str] = {"conversation": "conversation_id", "group": "group_id"}


def _marks(value: Any) -> Iterator[bytes]:
    """The marks of an id; a second one without the blanks that `char(n)` adds, because the server casts them away."""
    text = str(value)
    yield mark_of(text)
    if text.endswith(" "):
        yield mark_of(text.rstrip(" "))


@dataclass(frozen=True, slots=True)
class ScopeEntry:
    """A conversation or group that belongs to OpenIM since `since`."""

    since: datetime
    openim_id: str | None = None


class Scope:
    """Looks up in batches which ids are in scope. It never loads the whole relation."""

    def __init__(self, profile: Profile, phase: Phase, stores: Stores) -> None:
        self._profile = profile
        self._phase = phase
        self._stores = stores
        self._inside: dict[Kind, tuple[dict[bytes, datetime], set[bytes]]] = {}

    @property
    def phase_since(self) -> datetime:
        """Since when everything is OpenIM's with `scope.kind = "all"`: the start of the phase, if the profile names it."""
        since = self._profile.since_phase(Phase.FROZEN) or self._profile.since_phase(Phase.CUTOVER)
        return since or datetime.fromtimestamp(0, UTC)

    @property
    def everything_else_is_neighbour(self) -> bool:
        """Whether an id that no relation lists is out of scope: before `frozen`, and without relation `neighbours`."""
        return not self._phase.reached(Phase.FROZEN) or not self._profile.has("neighbours")

    @property
    def takes_the_rest(self) -> bool:
        """Whether everything is in scope that is not a neighbour's."""
        return self._profile.scope.kind == "all" or not self.everything_else_is_neighbour

    async def entries(self, kind: Kind, ids: Sequence[str]) -> dict[str, ScopeEntry]:
        """The ids that are in scope, each with its entry."""
        wanted = list(dict.fromkeys(ids))
        if self._profile.scope.kind == "all":
            neighbours = await self._neighbours(kind, wanted)
            return {name: ScopeEntry(self.phase_since) for name in wanted if name not in neighbours}
        listed = await self._listed(kind, wanted)
        if self.everything_else_is_neighbour:
            return listed
        rest = [name for name in wanted if name not in listed]
        neighbours = await self._neighbours(kind, rest)
        return listed | {name: ScopeEntry(self.phase_since) for name in rest if name not in neighbours}

    async def inside(self, kind: Kind, at: datetime) -> Callable[[bytes], bool]:
        """Whether an id, given by its mark, is in scope since `at` or longer. Reads the whole relations once, in chunks.

        Marks are compared because a census has no room for ids, and because a conversation that is deleted later is often no longer
        listed then.
        """
        if kind not in self._inside:
            listed: dict[bytes, datetime] = {}
            if self._profile.scope.kind != "all":
                async for name, since in self._all("scope", _COLUMNS[kind], "since"):
                    listed |= dict.fromkeys(_marks(name), since)
            neighbours: set[bytes] = set()
            if not self.everything_else_is_neighbour or self._profile.scope.kind == "all":
                async for name, _ in self._all("neighbours", _COLUMNS[kind]):
                    neighbours |= set(_marks(name))
            self._inside[kind] = listed, neighbours
        listed, neighbours = self._inside[kind]
        rest = self.takes_the_rest and self.phase_since <= at

        def inside(mark: bytes) -> bool:
            since = listed.get(mark)
            if since is not None:
                return since <= at
            return rest and mark not in neighbours

        return inside

    async def _all(self, relation: str, column: str, *more: str) -> AsyncIterator[tuple[Any, Any]]:
        if not self._profile.has(relation, column):
            return
        source = await self._stores.source(Rows(relation, (column, *more)))
        async for chunk in source.chunks():
            for row in chunk:
                if row[column] is not None:
                    yield row[column], row[more[0]] if more else None

    async def _listed(self, kind: Kind, ids: Sequence[str]) -> dict[str, ScopeEntry]:
        column = _COLUMNS[kind]
        openim = "openim_id" if kind == "conversation" else "openim_group_id"
        columns = tuple(name for name in (column, "since", openim) if self._profile.has("scope", name))
        source = await self._stores.source(Rows("scope", columns))
        found = {}
        for start in range(0, len(ids), LOOKUP_BATCH):
            for row in await source.lookup(column, ids[start : start + LOOKUP_BATCH]):
                found[str(row[column])] = ScopeEntry(row["since"], row.get(openim))
        return found

    async def _neighbours(self, kind: Kind, ids: Sequence[str]) -> frozenset[str]:
        column = _COLUMNS[kind]
        if not ids or not self._profile.has("neighbours", column):
            return frozenset()
        source = await self._stores.source(Rows("neighbours", (column,)))
        found: set[str] = set()
        for start in range(0, len(ids), LOOKUP_BATCH):
            found |= {str(row[column]) for row in await source.lookup(column, ids[start : start + LOOKUP_BATCH])}
        return frozenset(found)
