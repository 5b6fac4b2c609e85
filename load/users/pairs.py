"""Whose turn it is: the canaries of one process, in pairs that write to each other, or each with many who only receive."""

from __future__ import annotations

from itertools import count

from load.settings import Settings


class Pairs:
    """Hands canaries out. Workers take turns by pairs, so that both ends of a conversation are in one process and one journal."""

    def __init__(self, settings: Settings, *, worker: int, workers: int) -> None:
        self._settings = settings
        self._numbers = count(worker * 2, max(workers, 1) * 2)
        self._waiting: tuple[str, str] | None = None

    def take(self) -> tuple[str, str] | None:
        """(own id, peer's id) for one more user; None when all canaries are in use."""
        if self._waiting is not None:
            second_half, self._waiting = self._waiting, None
            return second_half
        number = next(self._numbers)
        first, second = self._settings.user_id(number), self._settings.user_id(number + 1)
        if first is None or second is None:
            return None
        self._waiting = second, first
        return first, second


class Batches:
    """Hands out senders, each with the same `batch` receivers, who never write: so a conversation is of one sender, in one journal."""

    def __init__(self, settings: Settings, *, worker: int, workers: int) -> None:
        self._settings = settings
        self._numbers = count(worker, max(workers, 1))
        self._receivers = settings.receivers

    def take(self) -> tuple[str, tuple[str, ...]] | None:
        """(own id, receivers' ids) for one more user; None when all canaries are in use."""
        me = self._settings.user_id(next(self._numbers))
        return None if me is None or me in self._receivers else (me, self._receivers)
