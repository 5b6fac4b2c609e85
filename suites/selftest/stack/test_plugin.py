"""The pytest plugin: a stack only where a test asks for one, its worlds closed with their test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fixtures.services.base import REPO_ROOT

SESSION = """
seen = []

def test_makes_two_worlds(new_world, stack):
    one, two = (new_world(openim=False, platform=False) for _ in range(2))
    assert one.config.platform.user_db != two.config.platform.user_db
    assert stack.worlds == [one, two]
    seen.extend([one, stack])

def test_finds_them_closed_and_the_same_stack(stack):
    assert stack is seen[1]
    assert stack.worlds == []
    stack.check_alive()
"""


def run_pytest(directory: Path, source: str, *arguments: str) -> str:
    """The output of a test session of its own."""
    (directory / "test_session.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "fixtures.plugin", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, f"--rootdir={directory}", *arguments, str(directory / "test_session.py")],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPO_ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return result.stdout + result.stderr


def test_worlds_end_with_their_test_and_the_stack_with_the_session(tmp_path: Path) -> None:
    """One stack for the session, shared; no directory stays after success."""
    before = set((REPO_ROOT / ".stack" / "pytest").glob("*"))
    output = run_pytest(tmp_path, SESSION, "--stack-broker=off")
    assert "2 passed" in output
    assert set((REPO_ROOT / ".stack" / "pytest").glob("*")) <= before


def test_no_stack_without_need(tmp_path: Path) -> None:
    """Tests that do not ask for a stack do not pay for one."""
    output = run_pytest(tmp_path, "def test_nothing():\n    pass\n", "--setup-show")
    assert "1 passed" in output
    assert "stack" not in output
