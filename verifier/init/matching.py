"""Finds the table of a stack for each relation of the template: by name, else by the similarity of names and columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from verifier.init.survey import Found
from verifier.profile.relations import Relation

SIMILARITY_MIN = 0.8
"""Similarity from which two column names count as the same (0 to 1)."""

SCORE_MIN = 0.65
"""Score from which a table with another name is proposed (0 to 1)."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
# Nearly every table has these, so they distinguish little.
_COMMON = frozenset({"id", "_id", "user_id", "created_at", "updated_at", "conversation_id", "group_id"})
_COMMON_WEIGHT = 0.2
_NAME_WEIGHT = 2.0


@dataclass(frozen=True, kw_only=True)
class Match:
    """The table found for a relation, and its name for each of the template's columns that it has."""

    found: Found
    columns: Mapping[str, str]
    wanted: int

    @property
    def complete(self) -> bool:
        """Whether every column was found."""
        return len(self.columns) == self.wanted


def wanted_columns(relation: Relation) -> dict[str, str]:
    """The physical columns that a relation reads, each with its logical name. A column of `where` alone keeps its own name."""
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
    """The best object for each relation, by name of relation. `there` holds the objects of each role.

    Objects with the template's own name come first; several relations may share one. Every other object is proposed once,
    for the relation with the highest score.
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
        # An empty collection has no fields to compare, so only its name counts.
        return Match(found=found, columns={name: name for name in wanted}, wanted=len(wanted))
    columns = {name: name for name in wanted if name in found.columns}
    free = [name for name in found.columns if name not in columns.values()]
    for name, logical in wanted.items():
        if name not in columns and (similar := _most_similar(name, logical, free)) is not None:
            columns[name] = similar
            free.remove(similar)
    return Match(found=found, columns=columns, wanted=len(wanted))


def _most_similar(name: str, logical: str, candidates: Sequence[str]) -> str | None:
    scored = [(max(_similarity(name, other), _similarity(logical, other) - 0.05), other) for other in candidates]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= SIMILARITY_MIN else None


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower().replace("_", ""), other.lower().replace("_", "")).ratio()


def _score(relation: Relation, match: Match) -> float:
    """Between 0 and 1: the share of columns that were found, common ones with little weight, and the similarity of the names."""
    wanted = wanted_columns(relation)
    weights = {name: _COMMON_WEIGHT if name in _COMMON else 1.0 for name in wanted}
    of_columns = sum(weights[name] for name in match.columns)
    own, theirs = (text.rpartition(".")[2] for text in (_object_name(relation), match.found.name))
    return (of_columns + _NAME_WEIGHT * _similarity(own, theirs)) / (sum(weights.values()) + _NAME_WEIGHT)
