"""`import verifier` is the public API: every name is there, documented, and imported on first use."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import verifier
from tests.verifier.commands.test_cli import HEAVY
from verifier.model.events import CheckFinished

PACKAGE = Path(verifier.__file__).parent
ALIASES = {"Event", "Row"}
"""Type aliases, which cannot have a docstring at run time."""


@pytest.mark.parametrize("name", sorted(set(verifier.__all__) - ALIASES - {"__version__"}))
def test_every_name_has_a_docstring(name: str) -> None:
    """A class or function with a docstring of its own."""
    doc = inspect.getdoc(getattr(verifier, name))
    assert doc
    assert not doc.startswith(f"{name}("), "the docstring that dataclasses generate"


def test_aliases_and_version() -> None:
    """The rest of `__all__`."""
    assert CheckFinished in get_args(verifier.Event)
    assert get_args(verifier.Row)[0] is str
    assert verifier.__version__
    assert set(verifier.__all__) <= set(dir(verifier))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="nonsense"):
        _ = verifier.nonsense


def test_importing_it_loads_nothing_heavy() -> None:
    """Neither drivers nor pydantic."""
    code = f"import sys, verifier; print([name for name in (*{HEAVY!r}, 'pydantic') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"


def test_nothing_inside_imports_the_public_api() -> None:
    """The package imports its modules, never itself: otherwise each module would depend on all others."""
    offenders = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module == "verifier")
        or (isinstance(node, ast.Import) and any(item.name == "verifier" for item in node.names))
    ]
    assert offenders == []
