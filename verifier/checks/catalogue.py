"""Loads all checks: the shipped ones, those of installed packages and those of `--checks` files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from verifier.checks import (  # noqa: F401 - each registers its checks when imported
    broker,
    cohorts,
    conversation_copies,
    conversations,
    groups,
    identity,
    media,
    messages,
    meta,
    moved_groups,
    openim,
    realtime,
    reports,
    seqs,
    sessions,
    stored_messages,
    token_exposure,
    tokens,
    user_service,
    users,
)
from verifier.checks.registry import REGISTRY, Registry
from verifier.profile.errors import ProfileError

ENTRY_POINTS = "openim_ssot.checks"


def load_checks(files: Sequence[Path] = ()) -> Registry:
    """Load all checks and return the registry. Raises ProfileError for a file that cannot be loaded."""
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()
    for path in files:
        _load_file(path)
    return REGISTRY


def _load_file(path: Path) -> None:
    name = f"verifier_extra_{path.stem}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ProfileError(f"--checks {path}: no Python file at this path")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        hint = ""
        if isinstance(error, ImportError) and (error.name or "").startswith("verifier"):
            hint = ". Import from the package `verifier` alone, as examples/custom_check.py does"
        raise ProfileError(f"--checks {path} cannot be loaded: {type(error).__name__}: {error}{hint}") from error
