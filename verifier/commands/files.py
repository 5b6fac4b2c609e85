"""Writes report files."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file completely or not at all: readers see the old content until the new one is on the disk.

    Directories are made. A new file may be read by its owner alone, because reports name users; an existing one keeps its mode. A
    path that is not a regular file, such as a pipe, is written directly. Raises OSError.
    """
    data = text.encode("utf-8", "backslashreplace")
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.resolve()  # a symbolic link stays one
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent, delete=False) as file:  # with mode 0600
        new = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if path.exists():
                new.chmod(path.stat().st_mode & 0o777)
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
