"""What may hide rows of a relation from the verifier's role, by the server's catalogue.

Row-level security is not among it: with `row_security = off` the server refuses to answer where a policy would hide a row, also
below views (https://www.postgresql.org/docs/current/ddl-rowsecurity.html).
"""

from __future__ import annotations

import re

from verifier.profile.relations import Relation
from verifier.stores.postgres.client import PostgresClient
from verifier.stores.postgres.statements import from_clause

_RELATIONS = """
WITH RECURSIVE seen(oid) AS (
  SELECT to_regclass(name)::oid FROM unnest(%(names)s::text[]) AS name
  UNION
  SELECT below.oid FROM seen CROSS JOIN LATERAL (
    SELECT used.refobjid AS oid FROM pg_rewrite AS rule
      JOIN pg_depend AS used ON used.objid = rule.oid AND used.classid = to_regclass('pg_catalog.pg_rewrite')
       AND used.refclassid = to_regclass('pg_catalog.pg_class')
     WHERE rule.ev_class = seen.oid AND used.refobjid <> seen.oid
    UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = seen.oid
  ) AS below
)
SELECT c.oid::regclass::text AS name, c.relkind::text AS kind, w.fdwname::text AS wrapper, s.srvoptions::text AS options,
       CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END AS definition,
       (SELECT string_agg(p.proname::text, ', ') FROM pg_rewrite AS rule
          JOIN pg_depend AS used ON used.objid = rule.oid AND used.classid = to_regclass('pg_catalog.pg_rewrite')
           AND used.refclassid = to_regclass('pg_catalog.pg_proc')
          JOIN pg_proc AS p ON p.oid = used.refobjid
         WHERE rule.ev_class = c.oid AND p.proconfig::text ILIKE '%%row_security=%%') AS functions
  FROM seen JOIN pg_class AS c ON c.oid = seen.oid
  LEFT JOIN pg_foreign_table AS f ON f.ftrelid = c.oid LEFT JOIN pg_foreign_server AS s ON s.oid = f.ftserver
  LEFT JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
 WHERE c.relkind IN ('v', 'm', 'f') ORDER BY 1
"""
_REQUIRED = """
SELECT a.attname::text AS name FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
 WHERE a.attrelid = to_regclass(%(table)s) AND a.attnotnull AND a.attnum > 0 AND c.relkind IN ('r', 'p')
   AND NOT (c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid))
"""
_SHADOWED = """
SELECT name, string_agg(n.nspname, ', ' ORDER BY n.nspname) AS schemas
  FROM unnest(%(names)s::text[]) AS name JOIN pg_class AS found ON found.oid = to_regclass(name)
  JOIN pg_class AS c ON c.relname = found.relname AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = ANY(current_schemas(false))
 GROUP BY name HAVING count(*) > 1
"""
_ASKS_WHO = re.compile(
    r"\b(CURRENT_USER|CURRENT_ROLE|SESSION_USER|USER|current_setting|pg_has_role|has_\w+_privilege)\b"
)
_ASKS_WHO_ANYWHERE = re.compile(_ASKS_WHO.pattern.replace("|USER|", "|"), re.IGNORECASE)
"""Source text of functions is not normalised as the definitions of views are, and `user` is also a common name of columns."""
_CUTS = re.compile(r"\b(LIMIT|OFFSET|FETCH FIRST|TABLESAMPLE)\b")


async def visibility(client: PostgresClient, relation: Relation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may hide rows, and what reading through views and foreign tables never covers; see `Completeness`."""
    hidden: list[str] = []
    unseen: list[str] = []
    for row in await client.fetch(_RELATIONS, {"names": _names(relation)}, what="read views"):
        name, definition = row["name"], str(row["definition"] or "")
        body = definition.partition("FROM")[2]
        if row["functions"]:
            hidden.append(
                f"view {name} calls {row['functions']}, which sets row_security by itself; map the tables below it"
            )
        if row["kind"] == "m":
            hidden.append(
                f"{name} is a materialized view, which lacks what was written after its last refresh; map the tables below it"
            )
        elif row["kind"] == "f":
            _foreign(row["name"], row["wrapper"], str(row["options"] or ""), hidden, unseen)
        elif (found := _ASKS_WHO.search(body)) is not None:
            hidden.append(
                f"view {name} depends on who asks ({found.group()}), so it may hide rows from role {client.role}'s user; "
                "map the tables below it"
            )
        elif (found := _CUTS.search(body)) is not None:
            hidden.append(f"view {name} shows only some of its rows ({found.group()}); map the tables below it")
        else:
            unseen.append(f"rows that view {name} leaves out")
    hidden += await asking_functions(client, relation)
    unqualified = [name for name in _names(relation) if "." not in name]
    for row in await client.fetch(_SHADOWED, {"names": unqualified}, what="look a table up") if unqualified else ():
        hidden.append(
            f"{row['name']} is in several schemas of the search path ({row['schemas']}), and the platform may write to another "
            "one than is read; give the schema in the profile"
        )
    return tuple(hidden), tuple(unseen)


def _foreign(name: str, wrapper: str | None, options: str, hidden: list[str], unseen: list[str]) -> None:
    """Row-level security of the other server filters silently, unless its session says otherwise."""
    if wrapper == "postgres_fdw" and not re.search(r"row_security\s*=\s*off", options):
        hidden.append(
            f"foreign table {name} is read from another server, whose row-level security may hide rows; add the option "
            "options '-c row_security=off' to the foreign server, or give the verifier a role on the other server"
        )
    else:
        unseen.append(f"rows of foreign table {name} that its server does not show")


_FUNCTIONS = """
WITH RECURSIVE views(oid) AS (
  SELECT to_regclass(name)::oid FROM unnest(%(names)s::text[]) AS name
  UNION
  SELECT used.refobjid FROM views JOIN pg_rewrite AS rule ON rule.ev_class = views.oid
    JOIN pg_depend AS used ON used.objid = rule.oid AND used.classid = to_regclass('pg_catalog.pg_rewrite')
     AND used.refclassid = to_regclass('pg_catalog.pg_class')
)
SELECT p.proname::text AS name, CASE WHEN p.prokind = 'f' THEN pg_get_functiondef(p.oid) END AS body,
       p.proname = ANY(%(called)s::text[]) OR EXISTS (
         SELECT 1 FROM views JOIN pg_rewrite AS rule ON rule.ev_class = views.oid
           JOIN pg_depend AS used ON used.objid = rule.oid AND used.classid = to_regclass('pg_catalog.pg_rewrite')
            AND used.refclassid = to_regclass('pg_catalog.pg_proc')
          WHERE used.refobjid = p.oid) AS used
  FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND l.lanname NOT IN ('c', 'internal') ORDER BY 1
"""
"""Functions of the database with their definitions. What a body that is given as a text calls is not among the dependencies."""


async def asking_functions(client: PostgresClient, relation: Relation) -> tuple[str, ...]:
    """The functions that decide by who asks which rows a view or a select shows, called directly or by another function."""
    called = re.findall(r"(\w+)\s*\(", relation.select or "")
    rows = await client.fetch(_FUNCTIONS, {"names": _names(relation), "called": called}, what="read functions")
    bodies = {row["name"]: _without_comments(str(row["body"] or "")) for row in rows}
    reached, pending = set[str](), [row["name"] for row in rows if row["used"]]
    while pending:
        if (name := pending.pop()) not in reached:
            reached.add(name)
            pending += [other for other in bodies if re.search(rf"\b{re.escape(other)}\b", bodies[name])]
    return tuple(
        f"function {name}, which is called where {relation.table or 'the select'} is read, depends on who asks ({found.group()}), "
        f"so it may hide rows from role {client.role}'s user; map the tables below it"
        for name in sorted(reached)
        if (found := _ASKS_WHO_ANYWHERE.search(bodies[name])) is not None
    )


def _without_comments(body: str) -> str:
    """Without comments, in which any word may stand."""
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", body, flags=re.DOTALL)


async def required_columns(client: PostgresClient, relation: Relation) -> frozenset[str]:
    """The columns of a table that are NOT NULL, also in all its partitions; none for views and selects."""
    if relation.table is None:
        return frozenset()
    rows = await client.fetch(_REQUIRED, {"table": from_clause(relation)}, what="read columns")
    return frozenset(row["name"] for row in rows)


def _names(relation: Relation) -> list[str]:
    """The tables and views that a relation reads, as the server looks them up."""
    if relation.table is not None:
        return [from_clause(relation)]
    import sqlglot  # takes 0.2 s, which `verifier --help` should not pay
    from sqlglot import exp

    tree = sqlglot.parse_one(relation.select or "", dialect="postgres")
    own = {item.alias for item in tree.find_all(exp.CTE)}
    tables = (table for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Identifier))
    return [
        ".".join(part.sql(dialect="postgres") for part in table.parts)
        for table in tables
        if table.db or table.name not in own
    ]
