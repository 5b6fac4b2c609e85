"""The options and the environment name the server under test."""

from __future__ import annotations

import pytest

from suites.contract.openim.plugin import server_of


def test_options_and_environment_name_the_server(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Without them it is the double; with the environment alone that server, with the defaults of OpenIM."""
    for name in ("OPENIM_API", "OPENIM_WS", "OPENIM_SECRET", "OPENIM_ADMIN"):
        monkeypatch.delenv(name, raising=False)
    assert server_of(request.config) is None
    monkeypatch.setenv("OPENIM_API", "http://host:10002")
    monkeypatch.setenv("OPENIM_SECRET", "s3cret")
    server = server_of(request.config)
    assert server is not None
    assert (server.api, server.secret, server.admin, server.gateway()) == (
        "http://host:10002",
        "s3cret",
        "imAdmin",
        None,
    )
    assert "s3cret" not in repr(server)
