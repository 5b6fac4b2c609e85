"""The SQL allow-list passes reads and refuses everything else."""

import pytest

from verifier.stores.errors import Forbidden
from verifier.stores.postgres.guard import require_read_only_sql

SNAPSHOT = [
    "SELECT 1",
    'SELECT "id" AS "user_id", xmin::text FROM "public"."users" WHERE ("id") > (%(after_0)s) ORDER BY "id" LIMIT %(chunk_rows)s',
    "SELECT * FROM (SELECT s.id FROM sessions s JOIN devices d ON d.id = s.device_id) AS r WHERE id = ANY(%(values)s::uuid[])",
    "WITH a AS (SELECT 1 AS x) SELECT x FROM a UNION ALL SELECT 2",
    "SELECT to_timestamp(created_ms / 1000.0), payload->>'type', coalesce(a, b), lower(c) FROM t",
    "SELECT pg_current_snapshot()::text, age(xmin) FROM t",
]
WRITING = [
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "TRUNCATE t",
    "DROP TABLE t",
    "CREATE TABLE t (a int)",
    "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
    "SELECT * INTO copy FROM t",
    "SELECT * FROM t FOR UPDATE",
    "SELECT 1; DROP TABLE t",
    "SELECT nextval('s')",
    "SELECT setval('s', 1)",
    "SELECT pg_terminate_backend(1)",
    "SELECT set_config('default_transaction_read_only', 'off', false)",
    "SELECT lo_import('x')",
    "SELECT dblink_exec('x', 'y')",
    "SELECT own.function_of_theirs(1)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_sleep(600)",
    "SELECT a FROM t WHERE a = pg_read_file('x')",
    "COPY t TO STDOUT",
    "EXPLAIN ANALYZE DELETE FROM t",
    "VACUUM",
    "SET ROLE admin",
    "CALL p()",
    "DO $$ BEGIN END $$",
    "NOTIFY x",
    "LOCK TABLE t",
    "",
    "nonsense here",
]


@pytest.mark.parametrize("sql", SNAPSHOT)
def test_reading_passes(sql: str) -> None:
    """Statements of the stores and usual selects of profiles pass unchanged."""
    assert require_read_only_sql(sql) == sql


@pytest.mark.parametrize("sql", WRITING)
def test_everything_else_is_refused(sql: str) -> None:
    """A statement that writes, locks or waits, or that cannot be parsed, is refused."""
    with pytest.raises(Forbidden):
        require_read_only_sql(sql)
