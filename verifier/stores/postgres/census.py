"""A census of a table: a mark of every record, by which the next run knows what is new, what is changed and what is gone.

A row's version shows which transaction wrote it, but not whether that was an INSERT or an UPDATE, and a row that was deleted
shows nothing at all. The table's counters include everybody's writes. Only the earlier existence of the key decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from verifier.profile.relations import Relation
from verifier.stores.errors import StoreError
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.snapshot import Snapshot
from verifier.stores.postgres.source import expression, from_clause
from verifier.stores.postgres.values import logical
from verifier.stores.protocols import MARK_BYTES, STATE_BYTES, CounterSnapshot, ScopeOf, mark_of

CENSUS_MAX = 1_000_000
"""Rows. A larger table gets no census, because its marks would fill the history."""
NAMES_MAX = 20_000
"""Rows. In a larger table a row that is gone cannot be named, because its key would have to be remembered."""
_ENTRY = 1 + 2 * MARK_BYTES + STATE_BYTES


def escaped(text: str) -> str:
    """SQL of the profile in a statement with parameters: a percent sign is doubled."""
    return text.replace("%", "%%")


def belongs_sql(relation: Relation) -> str:
    """The SQL condition for a row of the relation; a condition that is NULL excludes a row."""
    return f"(({escaped(relation.where)}) IS TRUE)" if isinstance(relation.where, str) else "TRUE"


def key_sql(relation: Relation) -> str:
    """The SQL expression of a row's key as text."""
    texts = ", ".join(f"({escaped(expression(relation.columns[name]))})::text" for name in relation.key)
    return f"concat_ws(' / ', {texts})"


def mark_sql(relation: Relation) -> str:
    """The SQL expression of a row's mark."""
    return _digest(key_sql(relation), MARK_BYTES)


def state_sql(relation: Relation, watched: tuple[str, ...]) -> str:
    """The SQL expression of a digest of the watched columns."""
    texts = ", ".join(f"({escaped(expression(relation.columns[name]))})::text" for name in watched)
    return _digest(f"(to_jsonb(ARRAY[{texts}]::text[]))::text" if watched else "''", STATE_BYTES)


def _digest(text: str, size: int) -> str:
    return f"substring(sha256(convert_to({text}, 'UTF8')) FROM 1 FOR {size})"


def census_sql(relation: Relation, scoped_by: str | None = None, watched: tuple[str, ...] = ()) -> str:
    """The query for all marks. It is one statement with one snapshot: chunks could miss a row that an UPDATE moves.

    An entry has one byte for whether the row belongs to the relation, the marks of its key and of its conversation, and the digest
    of its watched columns.
    """
    scope = f"coalesce(({escaped(expression(relation.columns[scoped_by]))})::text, chr(1))" if scoped_by else "chr(1)"
    belongs = f"CASE WHEN {belongs_sql(relation)} THEN decode('01', 'hex') ELSE decode('00', 'hex') END"
    entry = " || ".join((belongs, mark_sql(relation), _digest(scope, MARK_BYTES), state_sql(relation, watched)))
    return (
        "SELECT count(*) AS rows, string_agg(entry, ''::bytea) FILTER (WHERE NOT young) AS settled, "  # noqa: S608 - names come from the profile
        "array_agg(encode(entry, 'hex') || ' ' || writer) FILTER (WHERE young) AS young "
        f"FROM (SELECT {entry} AS entry, xmin::text AS writer, age(xmin) <= age(%(oldest)s::xid) AS young "
        f"FROM {escaped(from_clause(relation))} LIMIT %(limit)s) AS keys"
    )


def names_sql(relation: Relation) -> str:
    """The query for the keys of a small table: the text that makes the mark, and the columns."""
    columns = ", ".join(f'{escaped(expression(relation.columns[name]))} AS "{name}"' for name in relation.key)
    return (
        f"SELECT {key_sql(relation)} AS _text, {columns} FROM {escaped(from_clause(relation))} WHERE {belongs_sql(relation)} "  # noqa: S608 - as above
        "LIMIT %(limit)s"
    )


def _name(client: PostgresClient, relation: Relation, row: Mapping[str, Any]) -> str:
    """The key for display, as that of a record that is still there."""
    zone = client.config.timestamp_zone
    return " / ".join(str(logical(relation.columns[name], row[name], zone)) for name in relation.key)


def _sensitive(relation: Relation) -> bool:
    return any(relation.sensitive(name) for name in relation.key)


@dataclass(slots=True)
class _Marks:
    """The marks of one census."""

    known: set[bytes] = field(default_factory=set)
    inside: set[bytes] = field(default_factory=set)
    others: set[bytes] = field(default_factory=set)
    states: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, entry: bytes, inside: Any, *, watched: bool) -> None:
        """Add one entry of the query. `inside`: whether the mark of a conversation is in scope; None: not asked."""
        mark, scope = entry[1 : 1 + MARK_BYTES], entry[1 + MARK_BYTES : 1 + 2 * MARK_BYTES]
        if not entry[0]:
            self.others.add(mark)
            return
        self.known.add(mark)
        if inside is not None and inside(scope):
            self.inside.add(mark)
        if watched:
            self.states[mark] = entry[-STATE_BYTES:]

    def keep(self, mark: bytes, before: CounterSnapshot) -> None:
        """Keep what an earlier census had of a mark."""
        if mark in before.others:
            self.others.add(mark)
        elif before.known is not None and mark in before.known:
            self.known.add(mark)
            if before.inside is not None and mark in before.inside:
                self.inside.add(mark)
            if mark in before.states:
                self.states[mark] = before.states[mark]


async def with_census(
    client: PostgresClient,
    relation: Relation,
    now: CounterSnapshot,
    before: CounterSnapshot | None,
    *,
    scoped_by: str | None = None,
    watched: tuple[str, ...] = (),
    scope: ScopeOf | None = None,
) -> CounterSnapshot:
    """`now` with the marks of the rows that its snapshot saw; without marks where the table is too large or is not a table.

    The query runs after the snapshot was taken. A row with a younger version was changed in between: what `before` knew of it is
    kept, and a row that `before` did not know is new in the next run. Without a `before` every row counts as known, because nothing
    has been judged yet.
    """
    if not now.position:
        return now
    snapshot = Snapshot.parse(now.position)
    parameters = {"oldest": str(snapshot.xmin & 0xFFFFFFFF), "limit": CENSUS_MAX + 1}
    try:
        sql = census_sql(relation, scoped_by, watched)
        found = (await client.fetch(sql, parameters, what="read keys", optional=True))[0]
    except StoreError as error:
        return replace(now, limitations=(*now.limitations, f"whether a row is new or changed ({error})"))
    if found["rows"] > CENSUS_MAX:
        return replace(now, limitations=(*now.limitations, f"whether a row is new or changed (over {CENSUS_MAX} rows)"))
    inside = await scope() if scope is not None and scoped_by is not None else None
    marks = _Marks()
    for entry in _entries(found["settled"] or b""):
        marks.add(entry, inside, watched=bool(watched))
    earlier = before if before is not None and before.known is not None else None
    for item in found["young"] or ():
        text, writer = item.split()
        entry = bytes.fromhex(text)
        if earlier is None or snapshot.saw(snapshot.full_xid(int(writer))):
            marks.add(entry, inside, watched=bool(watched))
        else:
            marks.keep(entry[1 : 1 + MARK_BYTES], earlier)
    names: dict[bytes, str] = {}
    if found["rows"] <= NAMES_MAX and not _sensitive(relation):
        rows = await client.fetch(names_sql(relation), {"limit": NAMES_MAX}, what="read keys")
        names = {mark_of(row["_text"]): _name(client, relation, row) for row in rows}
    return replace(
        now,
        known=frozenset(marks.known),
        inside=None if inside is None else frozenset(marks.inside),
        others=frozenset(marks.others),
        states=marks.states,
        names={mark: name for mark, name in names.items() if mark in marks.known},
    )


def _entries(joined: bytes) -> Iterator[bytes]:
    return (joined[at : at + _ENTRY] for at in range(0, len(joined), _ENTRY))
