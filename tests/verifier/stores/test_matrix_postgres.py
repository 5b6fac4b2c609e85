"""One mechanism of PostgreSQL at a time that hides or loses records: no check holds over a breach, none accuses what is healthy (R9, R10)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest

from fixtures.processes.deadline import Deadline
from fixtures.processes.proxy import Mode, Proxy
from fixtures.services.base import split_url
from fixtures.services.pgbouncer import PgBouncer, program
from fixtures.stack.stack import Stack
from tests.verifier.stores.hiding import Edit, HidingWorld, hiding_world, put

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

TABLES = ("people", "reports", "sessions")
SEEN = {
    "people": "id NOT IN ('ghost', 'dave', 'alice')",
    "reports": "id <> 'r-bad'",
    "sessions": "id NOT IN ('s1', 's3', 's4')",
}
"""What is left when a mechanism hides the breaches, and partners of healthy records."""


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """`owner`, `admin`: statements that switch it on; `undo`: as the superuser. `edit`: of the profile. `harmless`: hides nothing."""

    name: str
    owner: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    edit: Edit = field(default_factory=put)
    harmless: bool = False


def each(statement: str) -> tuple[str, ...]:
    """The statement for each table."""
    return tuple(statement.replace("@", table).replace("SEEN", SEEN[table]) for table in TABLES)


def mapped(table: str) -> Edit:
    """Map the relations to other tables or views."""
    return put(**{
        f"relations__{relation}__table": table.replace("@", name)
        for relation, name in zip(("users", "reports", "sessions"), TABLES, strict=True)
    })  # fmt: skip


POLICY = (*each("ALTER TABLE @ ENABLE ROW LEVEL SECURITY"), *each("CREATE POLICY hide ON @ USING (SEEN)"))
OWNING = (*each("ALTER TABLE @ OWNER TO {reader}"), "GRANT ALL ON SCHEMA public TO {reader}")
VIEWS = mapped("public.seen_@")


def view(condition: str, *, options: str = "", before: tuple[str, ...] = ()) -> dict[str, Any]:
    """Views that hide rows by a condition."""
    return {
        "owner": (*before, *each(f"CREATE VIEW seen_@ {options} AS SELECT * FROM @ WHERE {condition}")),  # noqa: S608 - ours
        "edit": VIEWS,
    }


def zone(name: str, *, of: str, declared: str | None = None, expression: str | None = None) -> Mechanism:
    """Sessions end at local times without a zone."""
    target = {"role": "ROLE {reader}", "database": "DATABASE {database}", "writer": "ROLE {owner}"}[of]
    return Mechanism(
        name=f"{of} in {name}, timestamp {'declared' if declared else 'undeclared'}{' as an expression' if expression else ''}",
        admin=(f"ALTER {target} SET TimeZone = '{name}'",),
        owner=(f"ALTER TABLE sessions ALTER expires_at TYPE timestamp USING expires_at AT TIME ZONE '{name}'",),
        undo=(f"ALTER {target} RESET TimeZone",),
        edit=put(**({"roles__chat_db__timestamp_zone": declared} if declared else {}),
                 **({"relations__sessions__columns__expires_at__column": expression} if expression else {})),
        harmless=declared is not None,
    )  # fmt: skip


def retyped(table: str, kind: str, using: str, name: str = "") -> Mechanism:
    """The key has another type."""
    return Mechanism(
        name=f"{table}.id {name or kind}",
        owner=(f"ALTER TABLE {table} ALTER id TYPE {kind} USING {using}",),
        harmless=True,
    )


NUMBER = "(CASE id WHEN 'r-good' THEN 1.5 WHEN 'r-bad' THEN 0.1 ELSE 7 END)"
MECHANISMS = (
    Mechanism(name="none", harmless=True),
    Mechanism(name="policy", owner=POLICY),
    Mechanism(name="policy that shows nothing", owner=each("ALTER TABLE @ ENABLE ROW LEVEL SECURITY")),
    Mechanism(name="policy for one role", owner=(
        *each("ALTER TABLE @ ENABLE ROW LEVEL SECURITY"), *each("CREATE POLICY every ON @ USING (true)"),
        *each("CREATE POLICY hide ON @ AS RESTRICTIVE TO {reader} USING (SEEN)"))),
    Mechanism(name="policy by a setting", owner=(
        *each("ALTER TABLE @ ENABLE ROW LEVEL SECURITY"),
        *each("CREATE POLICY hide ON @ USING (SEEN OR current_setting('app.tenant', true) = 'all')"))),
    Mechanism(name="forced policy, reader owns", owner=POLICY, admin=(*OWNING, *each("ALTER TABLE @ FORCE ROW LEVEL SECURITY")),
              edit=put(roles__chat_db__allow_writing_credential=True)),
    Mechanism(name="policy, reader owns", owner=POLICY, admin=OWNING, harmless=True,
              edit=put(roles__chat_db__allow_writing_credential=True)),
    Mechanism(name="policy, row_security off", owner=POLICY, admin=("ALTER ROLE {reader} SET row_security = off",),
              undo=("ALTER ROLE {reader} RESET row_security",)),
    Mechanism(name="policy, reader bypasses", owner=POLICY, admin=("ALTER ROLE {reader} BYPASSRLS",),
              undo=("ALTER ROLE {reader} NOBYPASSRLS",), harmless=True),
    Mechanism(name="view over a forced policy", **view("true", before=(*POLICY, *each("ALTER TABLE @ FORCE ROW LEVEL SECURITY")))),
    Mechanism(name="security_invoker view over a policy", **view("true", options="WITH (security_invoker)", before=POLICY)),
    Mechanism(name="view by current_user", **view("SEEN OR current_user <> '{reader}'")),
    Mechanism(name="view by session_user", **view("SEEN OR session_user <> '{reader}'")),
    Mechanism(name="view by a setting", **view("SEEN OR coalesce(current_setting('app.tenant', true), '') <> ''")),
    Mechanism(name="view by a function that asks who", **view("SEEN OR allowed()", before=(
        "CREATE FUNCTION allowed() RETURNS bool LANGUAGE sql STABLE AS $$ SELECT current_user <> '{reader}' $$",))),
    Mechanism(name="view by a PL/pgSQL function that asks who", **view("SEEN OR allowed()", before=(
        "CREATE FUNCTION allowed() RETURNS bool LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_user <> '{reader}'; END $$",))),
    Mechanism(name="view by a table of grants", **view("SEEN OR EXISTS (SELECT FROM grants WHERE grantee = current_user)", before=(
        "CREATE TABLE grants (grantee name)",))),
    Mechanism(name="view of a function's rows", edit=VIEWS, owner=(
        *each("CREATE FUNCTION rows_@() RETURNS SETOF @ LANGUAGE sql STABLE SECURITY DEFINER AS "
              "$$ SELECT * FROM @ WHERE SEEN OR session_user <> '{reader}' $$"),
        *each("CREATE VIEW seen_@ AS SELECT * FROM rows_@()"))),
    Mechanism(name="view that is cut", edit=VIEWS, owner=each("CREATE VIEW seen_@ AS SELECT * FROM @ ORDER BY SEEN DESC LIMIT 2")),
    Mechanism(name="stale materialized view", edit=VIEWS, owner=each("CREATE MATERIALIZED VIEW seen_@ AS SELECT * FROM @ WHERE SEEN")),
    Mechanism(name="plain view", harmless=True, **view("true")),
    Mechanism(name="child table", harmless=True, owner=(
        *each("CREATE TABLE child_@ () INHERITS (@)"), *each("INSERT INTO child_@ SELECT * FROM @ WHERE NOT (SEEN)"),
        *each("DELETE FROM ONLY @ WHERE NOT (SEEN)"))),
    Mechanism(name="child table with keys of its parent", harmless=True, owner=(
        "CREATE TABLE child () INHERITS (reports)", "DELETE FROM reports WHERE id = 'r-bad'",
        "INSERT INTO child VALUES ('r-good', 'user', 'nobody')", "INSERT INTO child SELECT 'r-good', 'user', 'alice' FROM generate_series(1, 7)")),
    Mechanism(name="child table without rights", harmless=True, owner=(
        "CREATE TABLE child () INHERITS (reports)", "INSERT INTO child SELECT * FROM reports WHERE id = 'r-bad'",
        "DELETE FROM ONLY reports WHERE id = 'r-bad'", "REVOKE ALL ON child FROM {reader}")),
    Mechanism(name="partitions", harmless=True, owner=(
        "ALTER TABLE reports RENAME TO old", "CREATE TABLE reports (id text, kind text, target text) PARTITION BY LIST (target)",
        "CREATE TABLE bad PARTITION OF reports FOR VALUES IN ('nobody')", "CREATE TABLE rest PARTITION OF reports DEFAULT",
        "INSERT INTO reports SELECT * FROM old", "ALTER TABLE bad ENABLE ROW LEVEL SECURITY")),
    Mechanism(name="key is NULL", harmless=True, owner=(
        "ALTER TABLE reports DROP CONSTRAINT reports_pkey", "ALTER TABLE reports ALTER id DROP NOT NULL",
        "UPDATE reports SET id = NULL WHERE id = 'r-bad'")),
    Mechanism(name="key is empty", harmless=True, owner=("UPDATE reports SET id = '' WHERE id = 'r-bad'",)),
    Mechanism(name="key repeats over chunks", harmless=True, owner=(
        "ALTER TABLE reports DROP CONSTRAINT reports_pkey", "UPDATE reports SET id = 'r'",
        "INSERT INTO reports SELECT 'r', 'user', 'alice' FROM generate_series(1, 9)", "DELETE FROM reports WHERE target = 'nobody'",
        "INSERT INTO reports VALUES ('r', 'user', 'nobody')")),
    retyped("reports", "char(12)", "id"),
    retyped("reports", "bytea", "decode(md5(id), 'hex')"),
    retyped("reports", "numeric", NUMBER),
    retyped("reports", "numeric", f"CASE WHEN id = 'r-bad' THEN 'NaN'::numeric ELSE {NUMBER} END", "numeric NaN"),
    retyped("reports", "float8", NUMBER),
    retyped("reports", "float4", NUMBER),
    retyped("reports", "float8", f"CASE WHEN id = 'r-bad' THEN 'Infinity'::float8 ELSE {NUMBER} END", "float8 infinite"),
    retyped("reports", "timestamptz", f"'2026-01-01 00:00:00.123456+00'::timestamptz + {NUMBER} * interval '1 s'"),
    retyped("reports", "timestamptz", f"CASE WHEN id = 'r-bad' THEN 'infinity' ELSE now() + {NUMBER} * interval '1 s' END", "timestamptz infinite"),
    retyped("reports", "timestamp", f"'2026-01-01 00:00:00.123456'::timestamp + {NUMBER} * interval '1 s'"),
    retyped("reports", "timestamp", f"CASE WHEN id = 'r-bad' THEN '0044-03-15 BC' ELSE '2026-01-01'::timestamp + {NUMBER} * interval '1 s' END", "timestamp BC"),
    retyped("reports", "date", f"CASE WHEN id = 'r-bad' THEN '99999-01-01'::date ELSE '2026-01-01'::date + {NUMBER}::int END", "date beyond 9999"),
    retyped("reports", "interval", f"{NUMBER} * interval '1 month'"),
    retyped("reports", "uuid", "md5(id)::uuid"),
    retyped("reports", "jsonb", "jsonb_build_object('id', id)"),
    retyped("reports", "text[]", "ARRAY[id, 'x']"),
    retyped("reports", "inet", f"'10.0.0.0'::inet + ({NUMBER} * 10)::int"),
    retyped("reports", "name", "id"),
    retyped("people", "char(12)", "id"),
    retyped("people", "name", "id"),
    retyped("people", "bytea", "convert_to(id, 'UTF8')"),
    Mechanism(name="reports.id enum", harmless=True, owner=(
        "CREATE TYPE kinds AS ENUM ('r-more', 'r-good', 'r-bad')", "ALTER TABLE reports ALTER id TYPE kinds USING id::kinds")),
    Mechanism(name="reports.id domain", harmless=True, owner=(
        "CREATE DOMAIN kinds AS char(9)", "ALTER TABLE reports ALTER id TYPE kinds")),
    Mechanism(name="people.id citext", harmless=True, admin=("CREATE EXTENSION citext",), owner=(
        "ALTER TABLE people ALTER id TYPE citext", "ALTER TABLE reports ALTER id TYPE citext")),
    Mechanism(name="infinite and ancient times", harmless=True, owner=(
        "UPDATE people SET last_login = 'infinity' WHERE id IN ('ghost', 'alice')", "UPDATE people SET last_login = '0044-03-15 BC' WHERE id = 'bob'",
        "UPDATE sessions SET expires_at = 'infinity' WHERE id IN ('s1', 's3')", "UPDATE sessions SET expires_at = '-infinity' WHERE id = 's4'")),
    Mechanism(name="times beyond 9999", owner=(
        "UPDATE people SET last_login = '20000-01-01' WHERE id IN ('ghost', 'alice')",
        "UPDATE sessions SET expires_at = '20000-01-01' WHERE id IN ('s1', 's3')", "UPDATE sessions SET expires_at = '0044-03-15 BC' WHERE id = 's4'")),
    zone("America/Los_Angeles", of="role"), zone("Asia/Shanghai", of="database"), zone("America/Los_Angeles", of="database"),
    zone("America/Los_Angeles", of="writer"), zone("America/Los_Angeles", of="database", expression="expires_at + interval '0'"),
    zone("America/Los_Angeles", of="role", declared="America/Los_Angeles"), zone("Asia/Shanghai", of="database", declared="Asia/Shanghai"),
    Mechanism(name="no right to a column", owner=(
        *each("REVOKE ALL ON @ FROM {reader}"), "GRANT SELECT (id, last_login) ON people TO {reader}",
        "GRANT SELECT (id, kind) ON reports TO {reader}", "GRANT SELECT (id, user_id) ON sessions TO {reader}")),
    Mechanism(name="rights to the mapped columns alone", harmless=True, owner=(
        *each("ALTER TABLE @ ADD secret text"), *each("REVOKE ALL ON @ FROM {reader}"),
        "GRANT SELECT (id, active, last_login) ON people TO {reader}", "GRANT SELECT (id, kind, target) ON reports TO {reader}",
        "GRANT SELECT (id, user_id, expires_at) ON sessions TO {reader}")),
    Mechanism(name="no right to the table", owner=each("REVOKE ALL ON @ FROM {reader}")),
    Mechanism(name="no right to the schema", admin=("REVOKE USAGE ON SCHEMA public FROM {reader}",)),
    Mechanism(name="empty tables before them in the search path", edit=mapped("@"), undo=("DROP SCHEMA {reader} CASCADE",), admin=(
        "CREATE SCHEMA {reader}", *each("CREATE TABLE {reader}.@ (LIKE public.@)"),
        "GRANT USAGE ON SCHEMA {reader} TO {reader}", "GRANT SELECT ON ALL TABLES IN SCHEMA {reader} TO {reader}",
        *each("INSERT INTO {reader}.@ SELECT * FROM public.@ WHERE SEEN"))),
    Mechanism(name="statement_timeout of the role", admin=("ALTER ROLE {reader} SET statement_timeout = '1ms'",),
              owner=each("ALTER TABLE @ RENAME TO real_@") + each("CREATE VIEW @ AS SELECT r.* FROM real_@ r, (SELECT pg_sleep(0.01) OFFSET 0) s"),
              undo=("ALTER ROLE {reader} RESET statement_timeout",)),
    Mechanism(name="the old name is a view of the new table", harmless=True, owner=(
        *each("ALTER TABLE @ RENAME TO new_@"), *each("CREATE VIEW @ AS SELECT * FROM new_@"))),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HidingWorld]:
    """The servers and the world of the whole matrix."""
    with hiding_world(stack, tmp_path_factory.mktemp("matrix"), "matrix_sql") as opened:
        yield opened


@contextlib.contextmanager
def switched_on(world: HidingWorld, mechanism: Mechanism, *, planted: bool = True) -> Iterator[None]:
    """The tables anew, with the mechanism."""
    world.tables(planted=planted)
    try:
        # A policy would hide the rows that the statements after it move.
        world.write(*mechanism.owner)
        world.write(*mechanism.admin, admin=True)
        yield
    finally:
        world.write(*mechanism.undo, admin=True)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda item: item.name)
def test_what_hides_records(world: HidingWorld, mechanism: Mechanism) -> None:
    """Each check is violated or inconclusive; where nothing is hidden, each breach is found."""
    if mechanism.admin and "citext" in mechanism.admin[0]:
        mechanism = replace(mechanism, admin=(), owner=("SELECT 1", *mechanism.owner))
        world.tables()
        world.write("CREATE EXTENSION IF NOT EXISTS citext SCHEMA pg_catalog", admin=True)
    with switched_on(world, mechanism):
        world.demand(mechanism.name, world.judge(mechanism.edit), found=mechanism.harmless)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG, Mode.RESET, Mode.CUT, Mode.SLOW], ids=lambda mode: mode.value)
def test_a_server_that_fails(world: HidingWorld, mode: Mode) -> None:
    """Every check that needs it is inconclusive, or finds its breach; a slow server changes nothing."""
    world.tables()
    url = world.sql.verifier_chat_db
    with Proxy(*split_url(url, 5432)) as proxy:
        proxy.set_mode(mode, delay_s=0.005, cut_after_bytes=700)
        behind = url.replace(f":{split_url(url, 5432)[1]}/", f":{proxy.port}/")
        world.demand(f"server: {mode.value}", world.judge(put(roles__chat_db__url=behind)), found=mode is Mode.SLOW)


def test_a_table_that_is_locked(world: HidingWorld) -> None:
    """A migration that holds its lock makes every check that reads the table inconclusive."""
    world.tables()
    with psycopg.connect(world.sql.chat_db) as holder:
        holder.execute("LOCK people, reports, sessions IN ACCESS EXCLUSIVE MODE")
        world.demand("locked tables", world.judge(), found=False)
        holder.rollback()


@pytest.mark.skipif(program() is None, reason="PgBouncer is not installed (Debian package pgbouncer)")
@pytest.mark.parametrize("hides", [False, True], ids=["nothing hidden", "policy"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
def test_a_pooler(world: HidingWorld, pooler: PgBouncer, declared: bool, hides: bool) -> None:
    """Through transaction pooling everything is found, and a policy is seen."""
    mechanism = next(item for item in MECHANISMS if item.name == ("policy" if hides else "none"))
    edit = put(roles__chat_db__url=pooler.url(world.sql.verifier_chat_db), roles__chat_db__pgbouncer=declared)
    with switched_on(world, mechanism):
        name = f"PgBouncer, {'declared' if declared else 'undeclared'}, {mechanism.name}"
        world.demand(name, world.judge(edit), found=mechanism.harmless)


@pytest.fixture(scope="module")
def pooler(stack: Stack, world: HidingWorld) -> Iterator[PgBouncer]:
    """A pooler with one session of the server."""
    urls = [world.sql.verifier_chat_db]
    server = PgBouncer.start(stack.run, Deadline(30), urls, pool_size=1, name="pgbouncer-matrix")
    try:
        yield server
    finally:
        server.discard()


@pytest.mark.parametrize(
    "name", ["plain view", "child table", "policy, reader bypasses", "rights to the mapped columns alone"]
)
def test_what_hides_nothing_holds(world: HidingWorld, name: str) -> None:
    """Without a breach, an ordinary run holds with a harmless mechanism."""
    mechanism = next(item for item in MECHANISMS if item.name == name)
    world.tokens(planted=False)
    try:
        with switched_on(world, mechanism, planted=False):
            world.demand_silence(name, world.judge(mechanism.edit))
    finally:
        world.tokens()
