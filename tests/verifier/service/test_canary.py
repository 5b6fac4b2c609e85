"""The canary runs as a subprocess of the service: its exit code is counted, and it ends with the service."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from verifier.service import canary
from verifier.service.state import CanaryState

PROFILE = Path("stack.toml")


@pytest.mark.parametrize("code", [0, 2])
def test_the_exit_code_is_counted(code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The exit code is in the state and the output in the log."""
    monkeypatch.setattr(canary, "COMMAND", ("-c", f"import sys; print('it ran', sys.argv[1:]); sys.exit({code})"))
    state = CanaryState()
    with caplog.at_level("INFO"):
        asyncio.run(canary.run_canary(PROFILE, state))
    assert state.codes == {code: 1}
    assert state.last_code == code
    assert "it ran ['--profile', 'stack.toml']" in caplog.text


def test_the_process_ends_with_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling the task ends the process."""
    mark = tmp_path / "pid"
    code = f"import os, pathlib, time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(canary, "COMMAND", ("-c", code))

    async def cancel() -> None:
        task = asyncio.create_task(canary.run_canary(PROFILE, CanaryState()))
        await asyncio.to_thread(_wait_for, mark)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(cancel())
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def _wait_for(mark: Path) -> None:
    deadline = time.monotonic() + 20
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < deadline, "the canary did not start"
        time.sleep(0.05)


def test_a_canary_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended at the deadline and counts as failed."""
    monkeypatch.setattr(canary, "COMMAND", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(canary, "DEADLINE_S", 0.3)
    state = CanaryState()
    asyncio.run(canary.run_canary(PROFILE, state))
    assert state.last_code not in (None, 0)
