"""The result of something that the engine's loop does, for those outside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_POLL_S: Final = 0.02


class Promise:
    """The result of something that the loop does; `done` may be looked at from anywhere."""

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None

    def wait(self, sleep: Callable[[float], None], timeout_s: float) -> None:
        """Wait with the caller's own sleep. Raises what the loop raised, and TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while not self.done:
            if time.monotonic() > until_s:
                raise TimeoutError("the engine did not finish in time")
            sleep(_POLL_S)
        if self.error is not None:
            raise self.error
