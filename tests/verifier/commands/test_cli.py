"""The command line: documented exit codes, sentences instead of tracebacks, and a quick start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("sqlalchemy", "psycopg", "pymongo", "redis", "httpx", "jinja2", "sqlglot", "apscheduler", "aio_pika")

UNREACHABLE = """
stack = "nowhere"
phase = "registered"
history = "memory:"
[since]
registered = 2026-01-01T00:00:00Z
[timing]
settle_s = 0
[roles.user_db]
url = "postgresql://u:s3cret@127.0.0.1:1/none"
connect_timeout_s = 2
[roles.openim]
api_url = "http://127.0.0.1:1"
secret = "s3cret"
admin_user_id = "verifier"
[relations.users]
role = "user_db"
table = "users"
key = "user_id"
columns.user_id = "id"
columns.nickname = "nickname"
columns.active = "active"
columns.last_login_at = "last_login_at"
"""


def verifier(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-c", "from verifier.commands.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nope",), "No such option"),
        (("bogus",), "No such command"),
        (("run", "--fail-on", "Q"), "severities out of C,H,M,I"),
        (("run", "--max-runtime", "soon"), "--max-runtime"),
        (("run", "--profile", "absent.toml"), "there is no profile at absent.toml"),
        (("explain", "ZZZ-99"), "no check 'ZZZ-99'"),
        (("list", "--checks", "absent.py"), "no Python file"),
    ],
)
def test_bad_usage_is_code_3_and_a_sentence(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """Bad input ends with 3 and says what was wrong; nobody sees a traceback."""
    answer = verifier(*arguments, cwd=tmp_path)
    assert answer.returncode == 3, answer
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout


def test_unreachable_stores_are_inconclusive(tmp_path: Path) -> None:
    """With every store down the run ends with 2, names the stores, and shows no secret."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("run", cwd=tmp_path)
    assert answer.returncode == 2, answer
    assert "cannot be reached" in answer.stdout
    assert "s3cret" not in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr


def test_a_phase_that_does_not_exist(tmp_path: Path) -> None:
    """The sentence names the phases."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("run", "--phase", "thaw", cwd=tmp_path)
    assert answer.returncode == 3
    assert "frozen" in answer.stderr


def test_own_checks_load_from_a_file(tmp_path: Path) -> None:
    """A user's check is listed, explained and run like the shipped ones; a broken file is told in a sentence."""
    (tmp_path / "mine.py").write_text(
        "from verifier.checks.registry import check\n"
        "from verifier.model.invariant import Phase, Severity\n"
        "from verifier.proofs import Rule\n"
        "from verifier.model.query import Rows\n"
        "@check('X-NICK', title='Nicknames are short', severity=Severity.INFO, phase=Phase.BASELINE, row='ours')\n"
        "def short(profile):\n"
        "    '''Because the client cuts them.'''\n"
        "    return Rule(subject=Rows('users', ('nickname',)), judge=lambda row: None)\n"
    )
    assert "X-NICK" in verifier("list", "--checks", "mine.py", cwd=tmp_path).stdout
    assert "Because the client cuts them" in verifier("explain", "X-NICK", "--checks", "mine.py", cwd=tmp_path).stdout
    (tmp_path / "broken.py").write_text("1 / 0")
    answer = verifier("list", "--checks", "broken.py", cwd=tmp_path)
    assert answer.returncode == 3
    assert "ZeroDivisionError" in answer.stderr


def test_help_loads_no_driver() -> None:
    """`verifier --help` answers at once because nothing heavy is imported before a command needs it."""
    code = f"import sys, verifier.commands.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"
