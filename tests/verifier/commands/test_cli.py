"""The command line: documented exit codes, messages instead of tracebacks, and a fast start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.verifier.commands.command_line import UNREACHABLE, verifier

HEAVY = ("sqlalchemy", "psycopg", "pymongo", "redis", "httpx", "jinja2", "sqlglot", "apscheduler", "aio_pika")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nope",), "No such option"),
        (("bogus",), "No such command"),
        (("run", "--fail-on", "Q"), "severities out of C,H,M,I"),
        (("run", "--fail-on", ""), "severities out of C,H,M,I"),
        (("run", "--max-runtime", "soon"), "--max-runtime"),
        (("run", "--max-runtime", "-5"), "--max-runtime"),
        (("run", "--profile", "absent.toml"), "there is no profile at absent.toml"),
        (("explain", "ZZZ-99"), "no check 'ZZZ-99'"),
        (("list", "--checks", "absent.py"), "no Python file"),
    ],
)
def test_bad_usage_is_exit_code_3_with_a_message(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """The message names the mistake; there is no traceback."""
    answer = verifier(*arguments, cwd=tmp_path)
    assert answer.returncode == 3, answer
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout


def test_unreachable_stores_are_inconclusive(tmp_path: Path) -> None:
    """With every store down the run returns 2, names the stores, and shows no secret."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("run", cwd=tmp_path)
    assert answer.returncode == 2, answer
    assert "cannot be reached" in answer.stdout
    assert "s3cret" not in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr


def test_an_unknown_phase_is_exit_code_3(tmp_path: Path) -> None:
    """The message lists the phases."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("run", "--phase", "thaw", cwd=tmp_path)
    assert answer.returncode == 3
    assert "frozen" in answer.stderr


def test_custom_checks_load_from_a_file(tmp_path: Path) -> None:
    """A custom check is listed and explained like the shipped ones; a file that raises is exit code 3 with a message."""
    (tmp_path / "mine.py").write_text(
        "from verifier import Phase, Rows, Rule, Severity, check\n"
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
    """Nothing heavy is imported before a command needs it."""
    code = f"import sys, verifier.commands.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"


def test_a_check_file_with_an_old_import_says_where_to_import_from(tmp_path: Path) -> None:
    """Modules inside `verifier` move; the package itself exports what a check needs."""
    (tmp_path / "mine.py").write_text("from verifier.check import check\n")
    answer = verifier("list", "--checks", "mine.py", cwd=tmp_path)
    assert answer.returncode == 3
    assert "Import from the package `verifier` alone" in answer.stderr
