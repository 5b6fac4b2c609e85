"""Opening a history: what is created, what is refused, and with which message."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.verifier.history.samples import START, finding, outcome, violated
from verifier.history import History, HistoryError

pytestmark = pytest.mark.long


def test_new_files_are_readable_only_by_their_owner(tmp_path: Path) -> None:
    """The database, its write-ahead log and its lock file have mode 0600."""
    before = os.umask(0)
    try:
        with History.open(str(tmp_path / "history.db"), stack="s") as history, history.lock():
            history.begin("r1", "cutover", START)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert len(modes) >= 3
    assert set(modes.values()) == {0o600}


def test_a_world_readable_history_loses_that_permission(tmp_path: Path) -> None:
    """A history restored from a cache as world-readable becomes readable by owner and group only."""
    path = tmp_path / "history.db"
    History.open(str(path), stack="s").close()
    path.chmod(0o644)
    History.open(str(path), stack="s").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_paths_and_urls_mean_the_same_file(tmp_path: Path, form: str) -> None:
    """A path and a sqlite URL open the same file."""
    path = tmp_path / "a folder" / "history.db"
    path.parent.mkdir()
    with History.open(form.format(path), stack="s") as history:
        assert history.name == str(path)
    assert path.exists()


def test_fingerprints_are_the_same_after_reopening(tmp_path: Path) -> None:
    """The HMAC key is stored in the database."""
    path = str(tmp_path / "history.db")
    with History.open(path, stack="s") as first:
        name = first.fingerprint("USR-01", "u1")
    with History.open(path, stack="s") as second:
        assert second.fingerprint("USR-01", "u1") == name


def _text(path: Path) -> None:
    path.write_text("stack = 'demo'\nphase = 'cutover'\n")


def _other_database(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE invoices (id)")


def _newer(path: Path) -> None:
    History.open(str(path), stack="s").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE verifier_meta SET value = '99' WHERE name = 'schema_version'")


def _damaged(path: Path) -> None:
    History.open(str(path), stack="s").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM verifier_meta WHERE name = 'hmac_key'")


def _torn(path: Path) -> None:
    History.open(str(path), stack="s").close()
    raw = bytearray(path.read_bytes())
    raw[100:4000] = b"\xff" * 3900
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_text, "not a SQLite database, and it is not overwritten"),
        (_other_database, "another application .*invoices"),
        (_newer, r"newer version \(schema 99"),
        (_damaged, "damaged"),
        (_torn, "damaged"),
        (lambda path: path.mkdir(), "is not a file"),
    ],
)
def test_a_file_that_is_not_a_history_is_refused_and_unchanged(tmp_path: Path, spoil: object, said: str) -> None:
    """The message says what is wrong; the file is not overwritten."""
    path = tmp_path / "history.db"
    spoil(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(HistoryError, match=said):
        History.open(str(path), stack="s")
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "no location"),
        ("/nowhere/at/all/history.db", "mkdir -p '/nowhere/at/all'"),
        ("mysql://u:hunter2@h/db", "cannot be stored in 'mysql'"),
        ("postgresql://u:hunter2@h:port/db", "cannot be read"),
        ("postgresql://u:hunter2@127.0.0.1:1/db", "Check that it is reachable"),
    ],
)
def test_errors_about_the_url_do_not_show_the_password(place: str, said: str) -> None:
    """The message has the cause and the next step, without the password."""
    with pytest.raises(HistoryError, match=said) as caught:
        History.open(place, stack="s")
    assert "hunter2" not in str(caught.value)


def test_a_refused_password_is_not_shown(postgres_url: str) -> None:
    """The message says that the password was refused, without showing it."""
    wrong = postgres_url.replace("postgres:", "postgres:hunter2", 1).replace("postgresqlhunter2", "postgresql")
    with pytest.raises(HistoryError, match="password was refused") as caught:
        History.open(wrong, stack="s")
    assert "hunter2" not in str(caught.value)


def test_a_full_disk_raises_and_keeps_committed_checks(tmp_path: Path) -> None:
    """The check that does not fit is not stored at all; the checks before it are."""
    with History.open(str(tmp_path / "history.db"), stack="s") as history, history.lock():
        history.begin("r1", "cutover", START)
        history.record(outcome(check_id="USR-08"))
        history.record(outcome(check_id="USR-01"))
        with history._database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        too_much = [finding(history, f"u{number}") for number in range(500)]
        with pytest.raises(HistoryError, match=r"disk is full.*Free some space"):
            history.commit_check(violated(too_much), {"slot": {"n": 1}})
        stored = history.result("r1")
        assert stored is not None
        assert [item.judgement.findings_total for item in stored.outcomes] == [0, 0]
        assert history.findings() == []
        assert history.watermark("USR-01", "slot") is None


def test_errors_and_records_load_without_the_database() -> None:
    """Importing errors and records does not import SQLAlchemy."""
    code = "import sys, verifier.history.errors, verifier.history.records; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_several_threads_may_create_a_history_at_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One thread creates it, and all threads get the same key."""
    place = str(tmp_path / "history.db")
    if kind == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE opened_at_once")
        place = f"{url.rpartition('/')[0]}/opened_at_once"
    names: list[str] = []
    start = threading.Barrier(6)

    def open_it() -> None:
        start.wait()
        with History.open(place, stack="s") as history:
            names.append(history.fingerprint("USR-01", "u1"))

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(names) == 6
    assert len(set(names)) == 1
