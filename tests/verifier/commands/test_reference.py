"""The reference pages are up to date."""

from pathlib import Path

import pytest

from verifier.commands.reference import PAGES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_up_to_date(name: str) -> None:
    """Each committed page equals the generated one; `make docs` updates it."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"
