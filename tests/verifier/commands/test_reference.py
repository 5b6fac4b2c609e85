"""The reference pages say what the code says."""

from pathlib import Path

import pytest

from verifier.commands.reference import PAGES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_up_to_date(name: str) -> None:
    """Each committed page equals what the code generates; `make docs` writes them."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"
