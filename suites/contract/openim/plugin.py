"""The pytest plugin of the contract suite: options that name the server, and the parity table as JSON.

    pytest suites/contract --openim-api http://host:10002 --openim-ws ws://host:10001 --openim-secret … --openim-admin …

Without them (or OPENIM_API, OPENIM_WS, OPENIM_SECRET, OPENIM_ADMIN) the server is the double in the process of the tests.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from suites.contract.openim.server import Server, from_environment
from suites.contract.openim.shared.recording_files import NEWEST

if TYPE_CHECKING:
    from suites.contract.openim.parity import Row

_OPTIONS = {
    "--openim-api": (
        "OPENIM_API",
        "URL",
        "REST address of the OpenIM server to compare with the recordings; default: the double",
    ),
    "--openim-ws": ("OPENIM_WS", "URL", "its WebSocket address; without it only REST is compared"),
    "--openim-secret": ("OPENIM_SECRET", "SECRET", "its share.secret"),
    "--openim-admin": ("OPENIM_ADMIN", "USER", "one of its imAdminUser.userIDs"),
}
_ROW = "contract_row"
NAME = "contract.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name the server."""
    group = parser.getgroup("openim", "the OpenIM contract")
    for option, (variable, metavar, text) in _OPTIONS.items():
        group.addoption(option, metavar=metavar, default="", help=f"{text} (environment: {variable})")


def server_of(config: pytest.Config) -> Server | None:
    """The server that the options or the environment name; None for the double."""
    given = {
        variable: config.getoption(option) or os.environ.get(variable, "")
        for option, (variable, _, _) in _OPTIONS.items()
    }
    return from_environment(given)


@pytest.fixture(scope="session")
def openim(request: pytest.FixtureRequest) -> Server | None:
    """The server under test; None for the double."""
    return server_of(request.config)


def skip_older(server: Server | None, recorded: str) -> None:
    """Replay the older recordings to the double alone: of a live server, what they show is accepted with the newest one."""
    if server is not None and recorded != NEWEST:
        pytest.skip("a live server is compared with the newest recording")


def keep_row(request: pytest.FixtureRequest, row: Row, recorded: str = NEWEST) -> None:
    """Add a row to the parity table of the report. The name of a row of an older recording has its day."""
    name = row.name if recorded == NEWEST else f"{row.name} ({recorded})"
    request.node.user_properties.append((_ROW, replace(row, name=name).document().model_dump_json()))


def pytest_configure(config: pytest.Config) -> None:
    """Collect the rows in the process that receives all test reports."""
    report: Path | None = config.getoption("--report", None)
    if report is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Rows(config, report.parent / NAME), "contract-rows")


class _Rows:
    """Collects the rows of a test session and writes them beside the report, before the report is built."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        server = server_of(config)
        self._name = "double" if server is None else server.api
        self._path = path
        self._rows: list[Any] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the rows that a test added."""
        if report.when == "call":
            self._rows += [json.loads(str(value)) for name, value in report.user_properties if name == _ROW]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Write the rows."""
        if not self._rows:
            return
        from suites.contract.openim.parity import Parity

        document = {**Parity(server=self._name).document(), "rows": sorted(self._rows, key=lambda row: row["name"])}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
