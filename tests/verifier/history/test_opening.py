"""Opening: what is created, what is refused, and how it is told."""

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


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The database, its log and its lock: raw keys are in there."""
    before = os.umask(0)
    try:
        with History.open(str(tmp_path / "history.db"), stack="s") as history, history.lock():
            history.begin("r1", "cutover", START)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert len(modes) >= 3
    assert set(modes.values()) == {0o600}


def test_a_world_readable_copy_is_closed(tmp_path: Path) -> None:
    """A history that came out of a cache for everyone to read is for its owner and group again."""
    path = tmp_path / "history.db"
    History.open(str(path), stack="s").close()
    path.chmod(0o644)
    History.open(str(path), stack="s").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_paths_and_urls_mean_the_same_file(tmp_path: Path, form: str) -> None:
    """A plain path is the usual way, the URL works too."""
    path = tmp_path / "a folder" / "history.db"
    path.parent.mkdir()
    with History.open(form.format(path), stack="s") as history:
        assert history.name == str(path)
    assert path.exists()


def test_the_key_of_fingerprints_stays(tmp_path: Path) -> None:
    """Fingerprints are the same after reopening."""
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
        (_other_database, "something else .*invoices"),
        (_newer, r"newer version \(schema 99"),
        (_damaged, "damaged"),
        (_torn, "damaged"),
        (lambda path: path.mkdir(), "is not a file"),
    ],
)
def test_what_is_no_history_is_refused_and_left_alone(tmp_path: Path, spoil: object, said: str) -> None:
    """The sentence says what is wrong; nothing is written over."""
    path = tmp_path / "history.db"
    spoil(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(HistoryError, match=said):
        History.open(str(path), stack="s")
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "no place"),
        ("/nowhere/at/all/history.db", "mkdir -p '/nowhere/at/all'"),
        ("mysql://u:hunter2@h/db", "cannot live in 'mysql'"),
        ("postgresql://u:hunter2@h:port/db", "cannot be read"),
        ("postgresql://u:hunter2@127.0.0.1:1/db", "Check that it is reachable"),
    ],
)
def test_places_that_do_not_work_are_told_without_their_password(place: str, said: str) -> None:
    """Cause and next step, never the password."""
    with pytest.raises(HistoryError, match=said) as caught:
        History.open(place, stack="s")
    assert "hunter2" not in str(caught.value)


def test_a_wrong_password_is_told_without_it(postgres_url: str) -> None:
    """What the server refuses is a sentence, too."""
    wrong = postgres_url.replace("postgres:", "postgres:hunter2", 1).replace("postgresqlhunter2", "postgresql")
    with pytest.raises(HistoryError, match="password was refused") as caught:
        History.open(wrong, stack="s")
    assert "hunter2" not in str(caught.value)


def test_a_full_disk_is_told_and_keeps_what_was_judged(tmp_path: Path) -> None:
    """The check that does not fit is missing as a whole, those before it are there."""
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
    """A command line that only needs the words does not pay for SQLAlchemy."""
    code = "import sys, verifier.history.errors, verifier.history.records; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_many_may_open_a_new_history_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One of them creates it, all of them get the same key."""
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
