"""How a check says what it wants to read: a relation, logical columns, simple filters. No store, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "is null", "not null"]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on one logical column. A row whose column is NULL passes no comparison, as in SQL."""

    column: str
    op: Operator
    value: Any = None

    def __str__(self) -> str:
        return f"{self.column} {self.op}" + ("" if self.op in ("is null", "not null") else f" {self.value!r}")

    def accepts(self, value: Any) -> bool:
        """Judge a value in Python, for stores that cannot filter."""
        if self.op == "is null":
            return value is None
        if value is None:
            return False
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
    """Records of a relation of the profile (or of OpenIM: names that start with `openim.`).

    `columns` are logical; the key columns always come along. `where` conditions are joined by AND.
    """

    relation: str
    columns: tuple[str, ...] = ()
    where: tuple[Where, ...] = ()
