"""Reading and writing recordings: files with one JSON object a line, compressed with gzip where the name ends in .gz."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

REST_FILE: Final = "rest.jsonl.gz"
WS_FILE: Final = "ws.jsonl.gz"
SDK_FILE: Final = "sdk_rest.jsonl.gz"
DIRECTORY: Final = Path(__file__).parents[1] / "recordings"
"""The recordings of real servers."""
FIRST: Final = "2026-11-23"
NEWEST: Final = "2026-11-29"
RECORDINGS: Final = (NEWEST, FIRST)
"""The recordings of REST and WebSocket by the day on which they were made, newest first. Each is a directory."""


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a recording. Raises OSError, EOFError, ValueError."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def write_lines(path: Path, lines: Iterable[Any]) -> None:
    """Write a compressed recording; equal lines give equal bytes. Raises OSError."""
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(text.encode("utf-8", "surrogatepass"))
