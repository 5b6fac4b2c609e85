"""The published clients and the server that they talk to; a client that cannot be had is skipped with its reason."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suites.contract.openim.sdk.target import SdkTarget, live_or_double
from suites.contract.openim.server import Server
from suites.contract.sdk.drivers import Driver
from suites.contract.sdk.people import People
from suites.contract.sdk.tap import Tap, tapped

HERE = Path(__file__).parent
# Node has a WebSocket of its own since 22, behind this flag since 20.10, and the client brings none.
_WEBSOCKET_FLAG, _BUILT_IN, _AT_LEAST = "--experimental-websocket", 22, (20, 10)
_UNREACHABLE = re.compile(r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|ERR_SOCKET_TIMEOUT")
_NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")


@pytest.fixture(scope="module")
def target(openim: Server | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkTarget]:
    """A double of the module's own, or the named server."""
    with live_or_double(openim, tmp_path_factory.mktemp("double") / "double.log") as found:
        yield found


@pytest.fixture(scope="module")
def people(target: SdkTarget) -> Iterator[People]:
    """The administrator."""
    made = People(target)
    yield made
    made.close()


@pytest.fixture(scope="module")
def tap(target: SdkTarget) -> Iterator[Tap]:
    """A proxy before the REST server that writes down what clients call."""
    with tapped(target.api_url) as found:
        yield found


@pytest.fixture(scope="session")
def node_command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """How to start the driver of the browser client, which is installed from its lock file into a temporary directory."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"The browser client needs Node and npm; {'node' if node is None else 'npm'} is not on the PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major, minor = (int(part) for part in version.removeprefix("v").split(".")[:2])
    if (major, minor) < _AT_LEAST:
        pytest.skip(f"The browser client needs a WebSocket, which Node has since 20.10; this is {version}")
    place = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "node" / name, place)
    done = subprocess.run([npm, *_NPM_CI], cwd=place, capture_output=True, text=True, check=False)
    if done.returncode and _UNREACHABLE.search(done.stderr):
        pytest.skip(f"npm cannot reach its registry to install the browser client: {done.stderr.strip()[:200]}")
    assert done.returncode == 0, done.stderr
    flags = [] if major >= _BUILT_IN else [_WEBSOCKET_FLAG]
    return [node, *flags, str(HERE / "node" / "driver.mjs"), str(place)]


@pytest.fixture
def browser(node_command: list[str], tmp_path: Path) -> Iterator[Driver]:
    """The browser client's driver, a process for each test."""
    driver = Driver(node_command, tmp_path / "driver.log")
    yield driver
    driver.stop()


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Driver]:
    """The Python client's driver, in this interpreter or the one that OPENIM_SDK_PYTHON names."""
    interpreter = os.environ.get("OPENIM_SDK_PYTHON", "")
    if not interpreter:
        if importlib.util.find_spec("openim_sdk") is None:
            pytest.skip("openim-sdk-core is not installed (it is in requirements/dev.txt); or name OPENIM_SDK_PYTHON")
        interpreter = sys.executable
    driver = Driver([interpreter, str(HERE / "python_driver.py")], tmp_path / "driver.log")
    yield driver
    driver.stop()
