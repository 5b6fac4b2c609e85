"""The documents of the OpenIM contract agree with the code and the recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.contract.openim.document.pages import PAGES

DOCS = Path(__file__).parents[5] / "docs"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_document_is_up_to_date(name: str) -> None:
    """Each committed document equals the generated one; `make docs` updates it."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"
