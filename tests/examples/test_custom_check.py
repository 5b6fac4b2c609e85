"""The example of custom checks can be listed, explained and run."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from tests.verifier.commands.command_line import UNREACHABLE, verifier

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_check.py"
IDS = ("X-NICK", "X-PHONE", "X-ACTIVE")


def test_it_imports_only_from_the_public_api() -> None:
    """Of this project it imports `verifier` alone, no module below it."""
    imported = {node.module for node in ast.walk(ast.parse(EXAMPLE.read_text())) if isinstance(node, ast.ImportFrom)}
    assert imported == {"collections.abc", "verifier"}


def test_its_checks_are_listed_and_explained(tmp_path: Path) -> None:
    """`list` has its IDs and titles, `explain` its docstrings."""
    listed = verifier("list", "--checks", str(EXAMPLE), cwd=tmp_path).stdout
    for check_id in IDS:
        assert check_id in listed
    explained = verifier("explain", "X-NICK", "--checks", str(EXAMPLE), cwd=tmp_path)
    assert "The clients truncate longer nicknames" in explained.stdout


def test_its_checks_run(tmp_path: Path) -> None:
    """With unreachable stores they are inconclusive; the one whose column is not mapped is not applicable."""
    (tmp_path / "stack.toml").write_text(UNREACHABLE)
    answer = verifier("run", "--checks", str(EXAMPLE), "--only", "X", "--json", "-", cwd=tmp_path)
    assert answer.returncode == 2, answer
    verdicts = {item["id"]: item["verdict"] for item in json.loads(answer.stdout)["checks"]}
    assert verdicts == {"X-NICK": "inconclusive", "X-PHONE": "not_applicable", "X-ACTIVE": "inconclusive"}
