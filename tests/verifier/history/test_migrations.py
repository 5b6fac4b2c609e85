"""Migrating a history of an older version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.verifier.history.samples import finding, one_run, outcome, violated
from verifier.history import History, HistoryError
from verifier.model.verdict import Verdict


def test_a_history_of_schema_1_is_migrated(tmp_path: Path) -> None:
    """Runs, findings and the fingerprint key are kept; resuming and accepting work; schema 3 is refused."""
    path = tmp_path / "history.db"
    with History.open(str(path), stack="s") as history:
        one_run(history, "r1", violated([finding(history, "u1")]), outcome(Verdict.HOLDS, check_id="X-1"))
        name = history.fingerprint("USR-01", "u1")
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("run_plans", "checkpoints", "accepted"):
            connection.execute(f"DROP TABLE verifier_{table}")
        connection.execute("UPDATE verifier_meta SET value = '1' WHERE name = 'schema_version'")
    for _ in range(2):
        with History.open(str(path), stack="s") as history:
            assert history.fingerprint("USR-01", "u1") == name
            assert [run.run_id for run in history.runs()] == ["r1"]
            assert len(history.findings()) == 1
            assert history.accepted() == frozenset()
            assert history.judged_ever() == {"USR-01", "X-1"}
            with history.lock():
                assert history.interrupted_run() is None
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE verifier_meta SET value = '3' WHERE name = 'schema_version'")
    with pytest.raises(HistoryError, match="newer version"):
        History.open(str(path), stack="s")
