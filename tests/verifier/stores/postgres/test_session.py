"""On a real standby: one that is behind is not judged."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from fixtures.processes.deadline import Deadline
from fixtures.stack.stack import Stack
from tests.verifier.stores.postgres.test_observer_continuity import _standby
from tests.verifier.stores.postgres.world import INSERT, PostgresWorld, members
from verifier.model.query import Rows
from verifier.profile.roles import PostgresRole
from verifier.stores.errors import StoreError
from verifier.stores.postgres.store import PostgresStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
SECONDS = 60


async def test_a_standby_that_lags_is_not_read(stack: Stack, postgres: PostgresWorld, tmp_path: Path) -> None:
    """While it replays what it receives it is read like a primary; with replay paused, nothing of it is judged."""
    with _standby(stack, tmp_path) as port:
        there = urlsplit(postgres.grant.verifier_chat_db)
        url = there._replace(netloc=f"{there.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()
        admin_there = urlsplit(postgres.grant.admin_chat_db)
        admin_url = admin_there._replace(netloc=f"{admin_there.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()
        role = PostgresRole.model_validate({"url": url})
        store = PostgresStore("chat_db", role, lag_max_s=1)
        await store.connect()
        try:
            postgres.write(INSERT + "(999, 'moved', '2025-01-01')")
            Deadline(SECONDS).wait_until("the row to come over", lambda: _has_row(admin_url, 999))
            source = store.source(members(), Rows("members"))
            assert len(await source.lookup("id", [10])) == 1
            with psycopg.connect(admin_url, autocommit=True) as admin:
                admin.execute("SELECT pg_wal_replay_pause()")
                admin.execute("SELECT pg_sleep(1.5)")
                postgres.write(INSERT + "(1000, 'moved', '2025-01-01')")
                with pytest.raises(StoreError, match=r"standby that is up to \d+ s behind its primary"):
                    await source.lookup("id", [1000])
                admin.execute("SELECT pg_wal_replay_resume()")
            Deadline(SECONDS).wait_until("the standby to catch up", lambda: _has_row(admin_url, 1000))
            assert len(await source.lookup("id", [1000])) == 1
        finally:
            await store.close()


def _has_row(url: str, row: int) -> None:
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1 FROM members WHERE id = %s", [row]).fetchone()
