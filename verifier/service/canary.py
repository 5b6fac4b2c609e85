"""Runs the canary on `schedule.canary_cron`, as a subprocess, because the canary writes to the stack and the service does not."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from verifier.service.state import CanaryState

_log = logging.getLogger(__name__)
COMMAND = ("-m", "suites.canary")
DEADLINE_S = 600.0
_GRACE_S = 5.0
_TAIL_LINES = 20


async def run_canary(profile: Path, state: CanaryState) -> None:
    """Run `python -m suites.canary` once, at most for `DEADLINE_S` seconds. The process ends when this task is cancelled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *COMMAND,
        "--profile",
        str(profile),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    except TimeoutError:
        output = f"not finished within {DEADLINE_S:g} s".encode()
    finally:
        await _end(process)
    code = process.returncode if process.returncode is not None else -1
    state.codes[code] += 1
    state.last_code, state.last_at = code, datetime.now(UTC)
    tail = "\n".join(output.decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:])
    _log.log(logging.INFO if code == 0 else logging.WARNING, "canary finished with exit code %d\n%s", code, tail)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Terminate the process, and kill it if it does not end within the grace period."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
