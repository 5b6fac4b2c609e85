"""The options and the environment name the server under test."""

from __future__ import annotations

import pytest

from suites.contract.openim.plugin import server_of, skip_older
from suites.contract.openim.server import Server
from suites.contract.openim.shared.recording_files import FIRST, NEWEST


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


def test_older_recordings_are_replayed_to_the_double_alone() -> None:
    """A live server is compared once: what the older recordings show is accepted with the newest one."""
    server = Server(api="http://host")
    skip_older(None, FIRST)
    skip_older(server, NEWEST)
    with pytest.raises(pytest.skip.Exception, match="newest recording"):
        skip_older(server, FIRST)
