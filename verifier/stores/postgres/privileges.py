"""What a PostgreSQL role can do beyond reading, itself or as a role that it may become with SET ROLE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from verifier.stores.protocols import Privilege

SHOWN = 3
# https://www.postgresql.org/docs/current/predefined-roles.html
PRIVILEGES_SQL = """
WITH mine AS (
  SELECT r.oid, r.rolname::text AS name, r.rolsuper, r.rolcreaterole, r.rolcreatedb,
         CASE WHEN r.rolname = current_user THEN '' ELSE ' (as role ' || r.rolname || ')' END AS as_role
    FROM pg_roles AS r WHERE pg_has_role(current_user, r.oid, 'MEMBER')
),
objects AS (
  SELECT c.oid, c.relkind, c.relowner, n.nspname || '.' || c.relname AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'
)
SELECT current_user::text AS role,
       (SELECT array_agg(name || as_role ORDER BY as_role) FROM mine WHERE rolsuper) AS superuser,
       has_database_privilege(current_database(), 'TEMP') AS temporary,
       (SELECT array_agg(o.name || mine.as_role ORDER BY mine.as_role, o.name) FROM mine CROSS JOIN objects AS o
         WHERE (o.relkind IN ('r', 'p', 'f') OR (o.relkind = 'v' AND pg_relation_is_updatable(o.oid, true) <> 0))
           AND (o.relowner = mine.oid
             OR has_table_privilege(mine.oid, o.oid, 'INSERT') OR has_table_privilege(mine.oid, o.oid, 'UPDATE')
             OR has_table_privilege(mine.oid, o.oid, 'DELETE') OR has_table_privilege(mine.oid, o.oid, 'TRUNCATE')
             OR has_any_column_privilege(mine.oid, o.oid, 'INSERT') OR has_any_column_privilege(mine.oid, o.oid, 'UPDATE'))
       ) AS writable,
       (SELECT array_agg(o.name || mine.as_role ORDER BY mine.as_role, o.name) FROM mine CROSS JOIN objects AS o
         WHERE CASE WHEN o.relkind = 'S' THEN
           has_sequence_privilege(mine.oid, o.oid, 'USAGE') OR has_sequence_privilege(mine.oid, o.oid, 'UPDATE') END
       ) AS sequences,
       (SELECT array_agg(n.nspname || mine.as_role ORDER BY mine.as_role, n.nspname) FROM mine CROSS JOIN pg_namespace AS n
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'
           AND has_schema_privilege(mine.oid, n.oid, 'CREATE')) AS creatable,
       (SELECT array_agg(current_database()::text || as_role ORDER BY as_role) FROM mine
         WHERE has_database_privilege(oid, current_database(), 'CREATE')) AS schemas,
       (SELECT array_agg(DISTINCT item.name) FROM (
          SELECT name FROM mine WHERE name IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program',
            'pg_maintain', 'pg_signal_backend', 'pg_create_subscription')
          UNION ALL SELECT 'CREATEROLE' || as_role FROM mine WHERE rolcreaterole
          UNION ALL SELECT 'CREATEDB' || as_role FROM mine WHERE rolcreatedb) AS item) AS powers,
       (SELECT array_agg(n.nspname || '.' || p.proname ORDER BY 1) FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
           AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')) AS definers
"""
_TOO_MANY = (
    ("writable", "tables it can write"),
    ("sequences", "sequences it can advance"),
    ("creatable", "schemas it can create in"),
    ("schemas", "databases it can create schemas in"),
    ("powers", "attributes and predefined roles that change more than data"),
)


def judge_privileges(store: str, facts: dict[str, Any]) -> Sequence[Privilege]:
    """The answer to PRIVILEGES_SQL as privileges."""
    if facts["superuser"]:
        return [Privilege(store, "superuser", "too_many", f"the role is or may become {_some(facts['superuser'])}")]
    found = [Privilege(store, what, "too_many", _some(names)) for key, what in _TOO_MANY if (names := facts[key])]
    ok = not found
    if facts["temporary"]:
        why = "revoke it: temporary tables write to the catalogue"
        found.append(Privilege(store, "TEMPORARY on the database", "notice", why))
    if facts["definers"]:
        why = (
            f"they run with the rights of their owner, and the verifier calls none of them: {_some(facts['definers'])}"
        )
        found.append(Privilege(store, "functions with SECURITY DEFINER", "notice", why))
    if ok:
        found.append(Privilege(store, "read only", "ok", f"role {facts['role']} has no privilege to write"))
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
