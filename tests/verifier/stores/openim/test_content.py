"""URLs in the content of messages."""

from __future__ import annotations

import pytest

from verifier.stores.openim.content import urls_in

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"sourcePicture": {"url": "https://a/1"}, "snapshotPicture": {"url": "https://a/1"}}', ["https://a/1"]),
        ('{"data": "{\\"media\\": [\\"http://a/2?x=1\\"]}", "description": "see https://a/3"}', ["http://a/2?x=1"]),
        ("https://a/4", []),
        ("[" * 100_000, []),
    ],
    ids=["picture", "custom", "no JSON", "too deep"],
)
def test_urls_in_content(content: str, found: list[str]) -> None:
    """Whole values, once each, also in JSON that a custom message has inside a string."""
    assert list(urls_in(content)) == found
