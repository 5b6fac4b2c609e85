"""An OpenIM that other applications use as well: what belongs to this platform, by the beginning of its ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from verifier.model.invariant import Row
from verifier.profile.roles import OpenIMRole
from verifier.stores.protocols import Accountable, Completeness, OrderedSource


@dataclass(frozen=True, slots=True)
class Ownership:
    """How the ids of users and of groups begin; "" if all of them are this platform's."""

    users: str = ""
    groups: str = ""

    @classmethod
    def of(cls, role: OpenIMRole | None) -> Ownership:
        """What the role of the profile says."""
        return cls() if role is None else cls(role.id_prefix, role.prefix_of_groups)

    def __bool__(self) -> bool:
        return bool(self.users or self.groups)

    def has_conversation(self, name: str) -> bool:
        """Whether a conversation is this platform's: one of its members or its group is. Conversation ids are made of their
        members' ids [F54]. A name of another form counts as this platform's, so that it is judged."""
        kind, _, rest = name.partition("_")
        with_user = rest.startswith(self.users) or f"_{self.users}" in rest
        match kind:
            case "sg":
                return rest.startswith(self.groups)
            case "si" | "sn":
                return with_user
            case "n":
                return with_user or rest.startswith(self.groups)
            case _:
                return True

    def has(self, row: Row) -> bool:
        """Whether a record of OpenIM's database is this platform's."""
        if "conversation_id" in row:
            return self.has_conversation(str(row["conversation_id"]))
        if "group_id" in row:
            return str(row["group_id"]).startswith(self.groups)
        for column in ("place", "doc_id"):
            if column in row:
                return self.has_conversation(str(row[column]).rpartition(":")[0])
        return True


class OwnRecords:
    """The records of a source that are this platform's. The others are counted and left out."""

    def __init__(self, inner: OrderedSource, is_ours: Callable[[Row], bool]) -> None:
        self._inner = inner
        self._is_ours = is_ours
        self._left_out = 0
        self._resumed = False
        self.label = inner.label
        self.key = inner.key

    @property
    def queries(self) -> tuple[str, ...]:
        """The statements of the source."""
        return self._inner.queries

    @property
    def position(self) -> str | None:
        """Where the last returned chunk ended."""
        return self._inner.position

    async def chunks(self, after: str | None = None) -> AsyncIterator[Sequence[Row]]:
        """This platform's records, or those after a position of an earlier reading."""
        self._left_out, self._resumed = 0, after is not None
        async for rows in self._inner.chunks(after):
            ours = [row for row in rows if self._is_ours(row)]
            self._left_out += len(rows) - len(ours)
            if ours:
                yield ours

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records with these values, whosever they are."""
        return await self._inner.lookup(column, values)

    async def completeness(self) -> Completeness:
        """That of the source, without the records of others."""
        known = await self._inner.completeness() if isinstance(self._inner, Accountable) else Completeness()
        if not self._left_out:
            return known
        # After a resumed reading, the number of the others is known of its second part only.
        counted = None if known.counted is None or self._resumed else known.counted - self._left_out
        others = f"{self._left_out} records of other applications, whose ids begin differently"
        return Completeness(counted=counted, hidden=known.hidden, unseen=(*known.unseen, others))
