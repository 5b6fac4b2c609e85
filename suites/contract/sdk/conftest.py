"""The published clients and the server that they talk to. Tests of a client that cannot be installed are skipped."""

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
from suites.contract.sdk.admin import Admin
from suites.contract.sdk.driver import Driver
from suites.contract.sdk.recording_proxy import RecordingProxy, recording_proxy

HERE = Path(__file__).parent
# The client needs a WebSocket of Node, which exists since 22, and behind this flag since 20.10.
_WEBSOCKET_FLAG, _BUILT_IN, _AT_LEAST = "--experimental-websocket", 22, (20, 10)
_UNREACHABLE = re.compile(r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|ERR_SOCKET_TIMEOUT")
_NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")


@pytest.fixture(scope="module")
def target(openim: Server | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkTarget]:
    """The server under test, or a double for the module."""
    with live_or_double(openim, tmp_path_factory.mktemp("double") / "double.log") as found:
        yield found


@pytest.fixture(scope="module")
def admin(target: SdkTarget) -> Iterator[Admin]:
    """The administrator of the server."""
    found = Admin(target)
    yield found
    found.close()


@pytest.fixture(scope="module")
def proxy(target: SdkTarget) -> Iterator[RecordingProxy]:
    """A proxy of the REST server that records the calls of clients."""
    with recording_proxy(target.api_url) as found:
        yield found


@pytest.fixture(scope="session")
def node_command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the driver of the browser client, which is installed into a temporary directory from its lock file."""
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
    """A driver of the browser client for each test."""
    driver = Driver(node_command, tmp_path / "driver.log")
    yield driver
    driver.stop()


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Driver]:
    """A driver of the Python client for each test, in this interpreter or the one in OPENIM_SDK_PYTHON."""
    interpreter = os.environ.get("OPENIM_SDK_PYTHON", "")
    if not interpreter:
        if importlib.util.find_spec("openim_sdk") is None:
            pytest.skip("openim-sdk-core is not installed (see requirements/dev.txt), and OPENIM_SDK_PYTHON is not set")
        interpreter = sys.executable
    driver = Driver([interpreter, str(HERE / "python_driver.py")], tmp_path / "driver.log")
    yield driver
    driver.stop()
