"""What a check asks for: a relation, logical columns and simple filters, independent of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from verifier.model.values import Unreadable

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "is null", "not null"]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on one logical column. As in SQL, a NULL value satisfies no comparison."""

    column: str
    op: Operator
    value: Any = None

    def __str__(self) -> str:
        return f"{self.column} {self.op}" + ("" if self.op in ("is null", "not null") else f" {self.value!r}")

    def accepts(self, value: Any) -> bool:
        """Whether a value satisfies the condition, for stores that cannot filter.

        A value that cannot be read passes, because nobody knows; the proof counts it.
        """
        if self.op == "is null":
            return value is None
        if value is None:
            return False
        if isinstance(value, Unreadable):
            return True
        match self.op:
            case "not null":
                return True
            case "=":
                return bool(value == self.value)
            case "!=":
                return bool(value != self.value)
            case "<":
                return bool(value < self.value)
            case "<=":
                return bool(value <= self.value)
            case ">":
                return bool(value > self.value)
            case ">=":
                return bool(value >= self.value)
            case "in":
                return value in self.value


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of a relation: of the profile, of OpenIM (`openim.…`, `openim_mongo.…`) or of the verifier (`verifier.…`).

    `columns` are logical columns; the key columns are always included. The conditions of `where` are joined by AND.
    `everywhere`: also look for such records outside the mapped place, where a store can: in other database indexes and under
    other prefixes (Redis).
    """

    relation: str
    columns: tuple[str, ...] = ()
    where: tuple[Where, ...] = ()
    everywhere: bool = False
