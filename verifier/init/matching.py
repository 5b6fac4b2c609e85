"""Which table of a stack is which relation of the template: by its name and columns, or by the best likeness."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from verifier.init.survey import Found
from verifier.profile.relations import Relation

LIKE_MIN = 0.8
"""How alike two column names must be to be taken for one."""

SCORE_MIN = 0.65
"""How well a table must fit to be proposed under another name."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
# Nearly every table has these: they tell little.
_COMMON = frozenset({"id", "_id", "user_id", "created_at", "updated_at", "conversation_id", "group_id"})
_COMMON_WEIGHT = 0.2
_NAME_WEIGHT = 2.0


@dataclass(frozen=True, kw_only=True)
class Match:
    """A relation's table: the object, and the stack's name for each of the template's columns that was found."""

    found: Found
    columns: Mapping[str, str]
    wanted: int

    @property
    def complete(self) -> bool:
        """Whether every column was found."""
        return len(self.columns) == self.wanted


def wanted_columns(relation: Relation) -> dict[str, str]:
    """The physical columns that a relation reads, with the logical name of each (its own for those in `where`)."""
    named: dict[str, str] = {}
    for logical, column in relation.columns.items():
        for name in identifiers(column.column):
            named.setdefault(name, logical if name == column.column else name)
    if isinstance(relation.where, str):
        for name in identifiers(relation.where):
            named.setdefault(name, name)
    return named


@lru_cache(maxsize=256)
def identifiers(expression: str) -> tuple[str, ...]:
    """The columns that an SQL expression names."""
    if _PLAIN.match(expression):
        return (expression,)
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(expression, dialect="postgres")
    return tuple(dict.fromkeys(column.name for column in tree.find_all(exp.Column)))


def match_all(relations: Mapping[str, Relation], there: Mapping[str, Sequence[Found]]) -> dict[str, Match]:
    """The best object for each relation, by name of relation; `there`: what each role holds, by role.

    What bears the template's own name is taken first and by as many relations as name it; of the rest each object is
    proposed once, for the relation that it fits best.
    """
    matches: dict[str, Match] = {}
    for name, relation in relations.items():
        named = _object_name(relation)
        if (own := next((item for item in there.get(relation.role, ()) if item.name == named), None)) is not None:
            matches[name] = _compare(relation, own)
    taken = {id(match.found) for match in matches.values()} | {
        id(other) for match in matches.values() for other in _twins(match.found, there.values())
    }
    scored = sorted(
        (
            (_score(relation, match), name, match)
            for name, relation in relations.items()
            if name not in matches
            for item in there.get(relation.role, ())
            if id(item) not in taken and (match := _compare(relation, item)).columns
        ),
        key=lambda entry: -entry[0],
    )
    used: set[str] = set()
    for score, name, match in scored:
        if score >= SCORE_MIN and name not in matches and match.found.name not in used:
            matches[name] = match
            used.add(match.found.name)
    return matches


def _twins(found: Found, listings: Iterable[Sequence[Found]]) -> list[Found]:
    """The same object in the listing of another role: two roles may be one database."""
    return [item for listing in listings for item in listing if item == found]


def _object_name(relation: Relation) -> str:
    return relation.table or relation.collection or ""


def _compare(relation: Relation, found: Found) -> Match:
    wanted = wanted_columns(relation)
    if not found.columns and relation.collection:
        # An empty collection has no fields to compare; its name alone speaks.
        return Match(found=found, columns={name: name for name in wanted}, wanted=len(wanted))
    columns = {name: name for name in wanted if name in found.columns}
    free = [name for name in found.columns if name not in columns.values()]
    for name, logical in wanted.items():
        if name not in columns and (like := _most_like(name, logical, free)) is not None:
            columns[name] = like
            free.remove(like)
    return Match(found=found, columns=columns, wanted=len(wanted))


def _most_like(name: str, logical: str, candidates: Sequence[str]) -> str | None:
    scored = [(max(_likeness(name, other), _likeness(logical, other) - 0.05), other) for other in candidates]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= LIKE_MIN else None


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower().replace("_", ""), other.lower().replace("_", "")).ratio()


def _score(relation: Relation, match: Match) -> float:
    """Between 0 and 1: how many columns were found, common ones counting little, and how alike the names are."""
    wanted = wanted_columns(relation)
    weights = {name: _COMMON_WEIGHT if name in _COMMON else 1.0 for name in wanted}
    of_columns = sum(weights[name] for name in match.columns)
    own, theirs = (text.rpartition(".")[2] for text in (_object_name(relation), match.found.name))
    return (of_columns + _NAME_WEIGHT * _likeness(own, theirs)) / (sum(weights.values()) + _NAME_WEIGHT)
