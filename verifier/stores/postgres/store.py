"""The store behind a PostgreSQL role: its sources, observers, privileges and list of columns."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.profile.relations import Relation
from verifier.profile.timing import Timing
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.observer import PostgresObserver
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
        """Kind `columns`: every column of every table and view outside the catalogue, named `schema.table.column`."""
        if kind != "columns":
            raise ValueError(f"{self.label} lists columns, not {kind}")
        rows = await self.fetch(_COLUMNS, what="list columns")
        return [StoreObject(kind="column", name=row.pop("name"), attributes=row) for row in rows]

    async def privileges(self) -> Sequence[Privilege]:
        """What the role can do beyond reading."""
        rows = await self.fetch(_PRIVILEGES, what="privileges")
        facts: Row = rows[0]
        found = []
        if facts["superuser"]:
            found.append(Privilege(self.label, "superuser", "too_many", "the role is a superuser"))
        for key, what in (("writable", "tables it can write"), ("creatable", "schemas it can create in")):
            names = facts[key] or []
            if names and not facts["superuser"]:
                shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
                found.append(Privilege(self.label, what, "too_many", shown))
        if facts["temporary"] and not facts["superuser"]:
            found.append(
                Privilege(
                    self.label,
                    "TEMPORARY on the database",
                    "notice",
                    "revoke it: temporary tables write to the catalogue",
                )
            )
        if not any(item.state == "too_many" for item in found):
            found.append(Privilege(self.label, "read only", "ok", f"role {facts['role']} has no privilege to write"))
        return found


_COLUMNS = """
SELECT n.nspname || '.' || c.relname || '.' || a.attname AS name, n.nspname || '.' || c.relname AS table_name,
       a.attname::text AS column_name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required, c.relkind::text AS relkind,
       pn.nspname || '.' || p.relname AS parent,
       pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) AS writes
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_inherits i ON c.relispartition AND i.inhrelid = c.oid
  LEFT JOIN pg_class p ON p.oid = i.inhparent LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'
 ORDER BY 1
"""

_PRIVILEGES = """
SELECT current_user::text AS role,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       has_database_privilege(current_database(), 'TEMP') AS temporary,
       (SELECT array_agg(n.nspname || '.' || c.relname ORDER BY 1) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_temp%'
           AND (has_table_privilege(c.oid, 'INSERT') OR has_table_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE'))
       ) AS writable,
       (SELECT array_agg(n.nspname::text ORDER BY 1) FROM pg_namespace n
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'
           AND has_schema_privilege(n.oid, 'CREATE')) AS creatable
"""
