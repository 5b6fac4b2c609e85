"""Sessions of pytest in a separate directory, with the report plugin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fixtures.services.base import REPO_ROOT


def run_session(directory: Path, files: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Write the files and run pytest on them, with xdist and Allure."""
    for name, text in files.items():
        (directory / name).write_text(text)
    plugins = ("reports.plugin", "xdist.plugin", "allure_pytest.plugin", "pytest_timeout", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", "-q", *(f"-p{name}" for name in plugins)]
    return subprocess.run(
        [*command, f"--rootdir={directory}", "--import-mode=importlib", "-c", os.devnull, *arguments, str(directory)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPO_ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
