"""The canaries of one process: in pairs that write to each other, or one sender with many receivers."""

from __future__ import annotations

from itertools import count

from load.target import LoadConfig


class Pairs:
    """Assigns canaries in pairs. Workers take alternating pairs, so both ends of a conversation are in one journal."""

    def __init__(self, config: LoadConfig, *, worker: int, workers: int) -> None:
        self._config = config
        self._numbers = count(worker * 2, max(workers, 1) * 2)
        self._second: tuple[str, str] | None = None

    def take(self) -> tuple[str, str] | None:
        """(own id, peer's id) for one more user; None when all canaries are in use."""
        if self._second is not None:
            second, self._second = self._second, None
            return second
        number = next(self._numbers)
        first, second_id = self._config.user_id(number), self._config.user_id(number + 1)
        if first is None or second_id is None:
            return None
        self._second = second_id, first
        return first, second_id


class Batches:
    """Assigns senders. All have the same receivers, which never write: each conversation has one sender and one journal."""

    def __init__(self, config: LoadConfig, *, worker: int, workers: int) -> None:
        self._config = config
        self._numbers = count(worker, max(workers, 1))
        self._receivers = config.receivers

    def take(self) -> tuple[str, tuple[str, ...]] | None:
        """(own id, receivers' ids) for one more user; None when all canaries are in use."""
        me = self._config.user_id(next(self._numbers))
        return None if me is None or me in self._receivers else (me, self._receivers)
