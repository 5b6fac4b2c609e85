"""The generated documents by file name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from suites.contract.openim.document import openapi, websocket

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "openim-rest.openapi.json": openapi.text,
    "openim-ws.md": websocket.page,
}


def write_pages(directory: Path) -> None:
    """Write all documents to a directory, which is created if needed."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")
