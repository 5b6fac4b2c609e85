"""Long tests start first, so that no worker waits for the last one alone."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move modules that are marked `long` to the front; the order is otherwise kept."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
