"""OpenIM's REST envelope."""

from __future__ import annotations

from load.users.openim import envelope_of


def test_an_answer_without_an_envelope_is_not_a_success() -> None:
    """A proxy's HTML page with status 200 acknowledges nothing."""
    for content in (b"<html>", b"", b"[]", b'{"errCode": null}'):
        assert envelope_of(200, content)[0] == -1
    assert envelope_of(200, b'{"errCode":0,"data":{"serverMsgID":"x"}}') == (0, "", {"serverMsgID": "x"})
