"""What an event of a change stream says of a relation: which record, which columns, and whether it belongs to the relation.

An update event has the fields that it changed, and the record as it is now. What the record was before is known only where the
collection keeps pre-images (MongoDB 6.0); a delete event has nothing but the `_id`
(https://www.mongodb.com/docs/manual/reference/change-events/delete/).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verifier.model.invariant import Row
from verifier.profile.relations import Relation
from verifier.stores.mongo.source import projection
from verifier.stores.mongo.values import to_row

_INDEX = re.compile(r"\.\d+(?=\.|\Z)")
_CHANGES = ("update", "replace")
MARKED_MAX = 100_000
KEPT = ("operationType", "ns", "to", "documentKey", "clusterTime", "wallTime")


def plain(path: str) -> str:
    """A path without the indexes of arrays: a `$push` writes `list.3`, whatever element a column names."""
    return _INDEX.sub("", path)


def overlaps(one: str, other: str) -> bool:
    """Whether a change of one path changes the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def fields_of(criteria: Any) -> Iterator[str]:
    """The fields that a filter names."""
    if isinstance(criteria, Mapping):
        for key, value in criteria.items():
            if key.startswith("$"):
                yield from fields_of(value)
            else:
                yield plain(key)
    elif isinstance(criteria, list | tuple):
        for item in criteria:
            yield from fields_of(item)


def event_projection(relation: Relation, columns: Sequence[str]) -> dict[str, Any]:
    """The projection of events: the mapped fields of the documents, the names of changed fields, and the new values of mapped ones."""
    fields: dict[str, Any] = dict.fromkeys(KEPT, 1)
    for prefix in ("fullDocument.", "fullDocumentBeforeChange."):
        fields |= projection(relation, columns, prefix)
    changed = {"$objectToArray": "$updateDescription.updatedFields"}
    mapped = sorted({relation.columns[name].column for name in columns})
    fields["changed"] = {"$map": {"input": changed, "in": "$$this.k"}}
    fields["written"] = {"$filter": {"input": changed, "cond": {"$in": ["$$this.k", mapped]}}}
    return fields | {"updateDescription.removedFields": 1, "updateDescription.truncatedArrays": 1}


@dataclass(slots=True)
class Passing:
    """Which events passed the relation's `where`, by their tokens: with the record after the event, and before it."""

    after: set[bytes] = field(default_factory=set)
    before: set[bytes] = field(default_factory=set)


def token(event: Mapping[str, Any]) -> bytes:
    """The identity of an event: a digest, because millions of them may be kept."""
    return hashlib.blake2b(str(event["_id"].get("_data")).encode(), digest_size=12).digest()


@dataclass(frozen=True, slots=True)
class Change:
    """One event as a write of the relation: its operation, the record's row, and what is not known of it."""

    operation: str
    row: Row
    touched: frozenset[str] | None = None
    lost_values: frozenset[str] = frozenset()
    uncertain: bool = False


class Reader:
    """Reads the events of one pass, in order. `passing` is None where the relation has no `where`."""

    def __init__(
        self, relation: Relation, columns: Sequence[str], criteria: Mapping[str, Any], passing: Passing | None
    ) -> None:
        self._relation = relation
        self._columns = columns
        self._limiting = tuple(fields_of(criteria))
        self._passing = passing
        self._seen: dict[Any, Row] = {}

    def read(self, event: Mapping[str, Any]) -> Iterator[Change]:
        """The writes that an event stands for: none, one, or two where a record went from one conversation to another."""
        operation = event["operationType"]
        key = event.get("documentKey") or {}
        after, before = event.get("fullDocument"), event.get("fullDocumentBeforeChange")
        if operation not in (*_CHANGES, "insert", "delete"):
            yield Change(operation, self._row(key, None))
        elif operation == "delete":
            yield from self._removed(event, key, before)
        else:
            yield from self._written(event, operation, key, after, before)

    def _removed(self, event: Mapping[str, Any], key: Mapping[str, Any], before: Any) -> Iterator[Change]:
        if before is not None:
            if self._passing is None or token(event) in self._passing.before:
                yield Change("delete", self._row(key, before))
            return
        known = self._seen.pop(_hashable(key), None)
        row = known if known is not None else self._row(key, None)
        yield Change("delete", row, uncertain=known is None and self._passing is not None)

    def _written(
        self, event: Mapping[str, Any], operation: str, key: Mapping[str, Any], after: Any, before: Any
    ) -> Iterator[Change]:
        touched = self._touched(event, operation)
        row = self._row(key, after, event.get("written") or ())
        past = self._row(key, before) if before is not None else None
        if past is not None and touched is None:
            touched = (
                frozenset(name for name in self._columns if row.get(name) != past.get(name))
                if after is not None
                else None
            )
        unsure = False
        if self._passing is not None:
            kind = self._by_where(self._passing, event, operation, after, before)
            if kind is None:
                return
            operation, unsure = kind
        elif after is None and past is None and operation in _CHANGES:
            row = self._seen.get(_hashable(key), row)
        lost = touched or frozenset() if past is None and operation in _CHANGES else frozenset()
        if after is not None:
            self._keep(key, row)
        yield Change(operation, row, touched, lost, unsure)
        if (
            past is not None
            and operation in _CHANGES
            and any(past.get(name) != row.get(name) for name in self._columns)
        ):
            yield Change(operation, past, touched)

    def _by_where(
        self, passing: Passing, event: Mapping[str, Any], operation: str, after: Any, before: Any
    ) -> tuple[str, bool] | None:
        """The operation on the relation and whether it is unsure; None for a record that was and is none of the relation."""
        now = token(event) in passing.after
        if operation == "insert":
            return ("insert", False) if now else None
        if before is not None:
            then = token(event) in passing.before
            if after is None:  # deleted since; a later event says whether it was of the relation
                return (operation, not then) if then else None
            names = {(True, True): operation, (False, True): "insert", (True, False): "delete"}
            return (names[then, now], False) if (then, now) in names else None
        limited = operation == "replace" or any(
            overlaps(plain(path), name) for path in self._paths(event) for name in self._limiting
        )
        if after is None:
            return operation, True
        if now:
            return operation, limited
        return ("delete", True) if limited else None

    def _paths(self, event: Mapping[str, Any]) -> list[str]:
        about = event.get("updateDescription") or {}
        cut = [str(item.get("field")) for item in about.get("truncatedArrays") or ()]
        return [*(event.get("changed") or ()), *(about.get("removedFields") or ()), *cut]

    def _touched(self, event: Mapping[str, Any], operation: str) -> frozenset[str] | None:
        """The columns that an update changed; None for other operations, which replace the record."""
        if operation != "update" or event.get("updateDescription") is None:
            return None
        paths = [plain(path) for path in self._paths(event)]
        return frozenset(
            name
            for name in self._columns
            if any(overlaps(path, plain(self._relation.columns[name].column)) for path in paths)
        )

    def _row(self, key: Mapping[str, Any], document: Any, written: Iterable[Mapping[str, Any]] = ()) -> Row:
        """The columns that are known, with the values that an update wrote. Without a document only those of the key are."""
        known = [name for name in self._columns if document is not None or self._relation.columns[name].column in key]
        row = dict(to_row(self._relation, known, {**key, **(document or {})}))
        for item in written:
            names = [name for name in self._columns if self._relation.columns[name].column == item["k"]]
            row |= to_row(self._relation, names, {item["k"]: item["v"]}) if "." not in item["k"] else {}
        return row

    def _keep(self, key: Mapping[str, Any], row: Row) -> None:
        if len(self._seen) < MARKED_MAX:
            self._seen[_hashable(key)] = row


def _hashable(key: Mapping[str, Any]) -> str:
    return repr(sorted(key.items(), key=lambda item: str(item[0])))


def prefixed(criteria: Mapping[str, Any], document: str = "fullDocument") -> dict[str, Any] | None:
    """A filter on documents as a filter on their events; None where an operator needs the document itself."""
    found: dict[str, Any] = {}
    for key, value in criteria.items():
        if key in ("$and", "$or", "$nor"):
            parts = [prefixed(part, document) for part in _tables(value)]
            if any(part is None for part in parts):
                return None
            found[key] = parts
        elif key.startswith("$"):
            return None
        else:
            found[f"{document}.{key}"] = value
    return found


def _tables(value: Any) -> Sequence[Mapping[str, Any]]:
    return value if isinstance(value, list) else [value]
