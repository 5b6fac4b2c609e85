"""The pytest plugin of the contract suite: which server is held to the recordings, and what it said, kept as JSON.

    pytest suites/contract --openim-api http://host:10002 --openim-ws ws://host:10001 --openim-secret … --openim-admin …

Without these (or OPENIM_API, OPENIM_WS, OPENIM_SECRET, OPENIM_ADMIN) it is the double, in the tests' own process.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from suites.contract.openim.server import Server, from_environment

if TYPE_CHECKING:
    from suites.contract.openim.parity import Row

_OPTIONS = {
    "--openim-api": (
        "OPENIM_API",
        "URL",
        "hold this OpenIM server to the recordings, not the double: its REST address",
    ),
    "--openim-ws": ("OPENIM_WS", "URL", "its WebSocket address; without one REST alone is compared"),
    "--openim-secret": ("OPENIM_SECRET", "SECRET", "its share.secret"),
    "--openim-admin": ("OPENIM_ADMIN", "USER", "one of its imAdminUser.userIDs"),
}
_ROW = "contract_row"
NAME = "contract.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The server, each part by option or environment."""
    group = parser.getgroup("openim", "the OpenIM contract")
    for option, (variable, metavar, text) in _OPTIONS.items():
        group.addoption(option, metavar=metavar, default="", help=f"{text} (or {variable})")


def server_of(config: pytest.Config) -> Server | None:
    """The server that the options or the environment name; None is the double."""
    given = {
        variable: config.getoption(option) or os.environ.get(variable, "")
        for option, (variable, _, _) in _OPTIONS.items()
    }
    return from_environment(given)


@pytest.fixture(scope="session")
def openim(request: pytest.FixtureRequest) -> Server | None:
    """The server under test; None is the double."""
    return server_of(request.config)


def keep_row(request: pytest.FixtureRequest, row: Row) -> None:
    """Put a row into the parity table of the report."""
    request.node.user_properties.append((_ROW, row.document().model_dump_json()))


def pytest_configure(config: pytest.Config) -> None:
    """Gather the rows in the process that sees all of them."""
    report: Path | None = config.getoption("--report", None)
    if report is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Rows(config, report.parent / NAME), "contract-rows")


class _Rows:
    """Collects the rows of a session and writes them beside the report, before that is joined."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        server = server_of(config)
        self._name = "double" if server is None else server.api
        self._path = path
        self._rows: list[Any] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test said of its flow or session."""
        if report.when == "call":
            self._rows += [json.loads(str(value)) for name, value in report.user_properties if name == _ROW]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Write them."""
        if not self._rows:
            return
        from suites.contract.openim.parity import Parity

        document = {**Parity(server=self._name).document(), "rows": sorted(self._rows, key=lambda row: row["name"])}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
