"""The store behind a PostgreSQL role: its sources, observers, privileges and list of columns."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.profile.timing import Timing
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.observer import PostgresObserver
from verifier.stores.postgres.privileges import PRIVILEGES_SQL, judge_privileges
from verifier.stores.postgres.source import PostgresSource
from verifier.stores.protocols import Privilege, StoreObject


class PostgresStore(PostgresClient):
    """One PostgreSQL database, as the pool uses it."""

    def source(self, relation: Relation, rows: Rows) -> PostgresSource:
        """The records of a relation in this database."""
        return PostgresSource(self, relation, rows)

    def observer(self, relation: Relation, columns: tuple[str, ...], timing: Timing) -> PostgresObserver:
        """The observer of a table."""
        return PostgresObserver(self, relation, columns, flush_s=timing.counter_flush_s)

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """Kind `columns`: every column of every table and view outside the catalogue, named `schema.table.column`.

        `ancestors` of a table: the tables of which it is a partition or, by INHERITS, a child, directly or not. A query of one
        of them reads its rows too (https://www.postgresql.org/docs/current/ddl-inherit.html).
        """
        if kind != "columns":
            raise ValueError(f"{self.label} lists columns, not {kind}")
        rows = await self.fetch(_COLUMNS, what="list columns")
        return [StoreObject(kind="column", name=row.pop("name"), attributes=row) for row in rows]

    async def privileges(self) -> Sequence[Privilege]:
        """What the role can do beyond reading."""
        rows = await self.fetch(PRIVILEGES_SQL, what="privileges")
        return judge_privileges(self.label, rows[0])


_COLUMNS = """
WITH RECURSIVE above AS (
  SELECT inhrelid AS oid, inhparent AS ancestor FROM pg_inherits
  UNION SELECT above.oid, i.inhparent FROM above JOIN pg_inherits i ON i.inhrelid = above.ancestor
), named AS (
  SELECT above.oid, array_agg(pn.nspname || '.' || p.relname ORDER BY pn.nspname, p.relname) AS ancestors
    FROM above JOIN pg_class p ON p.oid = above.ancestor JOIN pg_namespace pn ON pn.oid = p.relnamespace GROUP BY above.oid
)
SELECT n.nspname || '.' || c.relname || '.' || a.attname AS name, n.nspname || '.' || c.relname AS table_name,
       a.attname::text AS column_name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required, c.relkind::text AS relkind,
       coalesce(named.ancestors, ARRAY[]::text[]) AS ancestors,
       pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) AS writes
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN named ON named.oid = c.oid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'
 ORDER BY 1
"""
