"""The page about the WebSocket is complete."""

from __future__ import annotations

from fixtures.wire.identifiers import PAYLOADS, ReqIdentifier
from suites.contract.openim.document import websocket


def test_every_identifier_and_message_is_on_the_page() -> None:
    """The page names each request identifier once and describes each message that a frame can carry."""
    page = websocket.page()
    for one in ReqIdentifier:
        assert page.count(f"\n| {one.value} | {one.name.lower().replace('_', ' ')} |") == 1, one
    carried = {kind for way in PAYLOADS.values() for kind in (way.request, way.answer) if kind is not None}
    for kind in carried:
        assert f"\n### {kind.DESCRIPTOR.name}\n" in page, kind
