"""What `doctor` shows of a PostgreSQL role, and which roles are refused."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.verifier.stores.postgres.world import PostgresWorld

pytestmark = pytest.mark.anyio

FUNCTION = "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
PLANTED = {
    "nothing": ((), ""),
    "a column": (("GRANT UPDATE (role) ON members TO {role}",), "public.members"),
    "truncate": (("GRANT TRUNCATE ON members TO {role}",), "public.members"),
    "an updatable view": (("CREATE VIEW seen AS SELECT * FROM members", "GRANT INSERT ON seen TO {role}"), "public.seen"),
    "a view that nobody can update": (("CREATE VIEW seen AS SELECT count(*) AS n FROM members", "GRANT INSERT ON seen TO {role}"), ""),
    "a sequence": (("CREATE SEQUENCE numbers", "GRANT USAGE ON SEQUENCE numbers TO {role}"), "public.numbers"),
    "a schema": (("CREATE SCHEMA mine", "GRANT CREATE ON SCHEMA mine TO {role}"), "mine"),
    "the database": (("GRANT CREATE ON DATABASE {database} TO {role}",), "{database}"),
    "a role to become": (("ALTER ROLE {role} NOINHERIT", "GRANT {owner} TO {role}"), "as role {owner}"),
    "all data": (("GRANT pg_write_all_data TO {role}",), "pg_write_all_data"),
    "programs": (("GRANT pg_execute_server_program TO {role}",), "pg_execute_server_program"),
    "an attribute": (("ALTER ROLE {role} CREATEROLE",), "CREATEROLE"),
    "ownership": (("CREATE TABLE own (k int)", "ALTER TABLE own OWNER TO {role}", "REVOKE ALL ON own FROM {role}"), "public.own"),
    "a definer's function": ((FUNCTION,), ""),
    "reading everything": (("GRANT pg_read_all_data TO {role}", "GRANT pg_monitor TO {role}"), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
async def test_what_can_write_is_too_many(postgres: PostgresWorld, name: str) -> None:
    """Every way to write is named; what only reads is not."""
    statements, shown = PLANTED[name]
    url = urlsplit(postgres.grant.verifier_chat_db)
    words = {"role": url.username, "database": url.path[1:], "owner": urlsplit(postgres.grant.chat_db).username}
    try:
        postgres.write(*(statement.format(**words) for statement in statements), admin=True)
        async with postgres.store() as store:
            found = await store.privileges()
    finally:
        postgres.write("DROP OWNED BY {role} CASCADE".format(**words), admin=True)
    writing = [item.detail for item in found if item.state == "too_many"]
    assert bool(writing) == bool(shown), found
    assert any(shown.format(**words) in detail for detail in writing) or not shown
    assert any(item.state == "ok" for item in found) == (not shown)
    assert any("SECURITY DEFINER" in item.what for item in found) == (name == "a definer's function")


async def test_a_superuser_is_too_many(postgres: PostgresWorld) -> None:
    """Itself, or a role that may become one."""
    for url in (postgres.grant.admin_chat_db, postgres.grant.verifier_chat_db):
        role = urlsplit(postgres.grant.verifier_chat_db).username
        if url == postgres.grant.verifier_chat_db:
            postgres.write(f"GRANT postgres TO {role} WITH INHERIT FALSE", admin=True)
        async with postgres.store(url) as store:
            found = await store.privileges()
        assert [(item.what, item.state) for item in found] == [("superuser", "too_many")]
