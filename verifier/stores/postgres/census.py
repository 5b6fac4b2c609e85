"""A census of a table: a mark of every key, so that a row that is written later is known to be new or changed.

A row's version shows which transaction wrote it, but not whether that was an INSERT or an UPDATE, and the table's counters
include everybody's writes. Only the earlier existence of the key decides.
"""

from __future__ import annotations

from dataclasses import replace

from verifier.profile.relations import Relation
from verifier.stores.errors import StoreError
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.snapshot import Snapshot
from verifier.stores.postgres.source import expression, from_clause
from verifier.stores.protocols import MARK_BYTES, CounterSnapshot, split_marks

CENSUS_MAX = 5_000_000
"""Rows. A larger table gets no census, because its marks would fill the history."""


def mark_sql(relation: Relation) -> str:
    """The SQL expression of a row's mark."""
    texts = ", ".join(f"({expression(relation.columns[name])})::text" for name in relation.key)
    return f"substring(sha256(convert_to(concat_ws(' / ', {texts}), 'UTF8')) FROM 1 FOR {MARK_BYTES})"


def census_sql(relation: Relation) -> str:
    """The query for all marks. It is one statement with one snapshot: chunks could miss a row that an UPDATE moves."""
    return (
        "SELECT count(*) AS rows, string_agg(mark, ''::bytea) FILTER (WHERE NOT young) AS settled, "  # noqa: S608 - names come from the profile
        "array_agg(encode(mark, 'hex') || ' ' || writer) FILTER (WHERE young) AS young "
        f"FROM (SELECT {mark_sql(relation)} AS mark, xmin::text AS writer, age(xmin) <= age(%(oldest)s::xid) AS young "
        f"FROM {from_clause(relation)} LIMIT %(limit)s) AS keys"
    )


async def with_census(
    client: PostgresClient, relation: Relation, now: CounterSnapshot, before: CounterSnapshot | None
) -> CounterSnapshot:
    """`now` with the marks of the rows that its snapshot saw; without marks where the table is too large or is not a table.

    The query runs after the snapshot was taken. A row with a younger version was changed in between if it is in `before`, and
    then counts as known. Without a `before` every row counts as known, because nothing has been judged yet.
    """
    if not now.position:
        return now
    snapshot = Snapshot.parse(now.position)
    parameters = {"oldest": str(snapshot.xmin & 0xFFFFFFFF), "limit": CENSUS_MAX + 1}
    try:
        found = (await client.fetch(census_sql(relation), parameters, what="read keys"))[0]
    except StoreError as error:
        return replace(now, limitations=(*now.limitations, f"whether a row is new or changed ({error})"))
    if found["rows"] > CENSUS_MAX:
        return replace(now, limitations=(*now.limitations, f"whether a row is new or changed (over {CENSUS_MAX} rows)"))
    known = set(split_marks(found["settled"] or b""))
    earlier = before.known if before is not None else None
    for item in found["young"] or ():
        mark, writer = item.split()
        if earlier is None or bytes.fromhex(mark) in earlier or snapshot.saw(snapshot.full_xid(int(writer))):
            known.add(bytes.fromhex(mark))
    return replace(now, known=frozenset(known))
