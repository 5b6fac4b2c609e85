"""Secrets: `${NAME}` in any string is read from the environment, a string `file:PATH` from a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verifier.profile.errors import ProfileError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def resolve(value: Any, *, where: str = "", environment: Mapping[str, str] | None = None) -> Any:
    """Return `value` with every reference in its strings replaced, at any depth.

    Raises ProfileError, which names the setting and the missing variable or file, never a value.
    """
    environment = os.environ if environment is None else environment
    if isinstance(value, dict):
        return {
            key: resolve(item, where=f"{where}.{key}".lstrip("."), environment=environment)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [resolve(item, where=f"{where}[{index}]", environment=environment) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    if value.startswith("file:"):
        return _read(Path(value.removeprefix("file:")), where)

    def lookup(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environment:
            raise ProfileError(
                f"{where}: the environment variable {name} is not set. Export it, or write the value another way."
            )
        return environment[name]

    return _VARIABLE.sub(lookup, value)


def _read(path: Path, where: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ProfileError(f"{where}: cannot read the secret file {path}: {reason}.") from None
