"""Whom the users of one process write to: pairs of two, or groups. Users come one by one, and the engine gets them when they are seated."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from load.engine.frames import GROUP, Peer
from load.engine.plan import Target, UserPlan
from load.settings import IDLE_PREFIX, Settings
from load.users.openim import OpenIMApi
from load.users.pairs import Pairs

Place = Literal["waiting", "seated", "alone"]
LATECOMERS_S = 1.0


class Seating(Protocol):
    """Raises what OpenIM, or the platform's gateway, raises."""

    def take(self) -> str | None:
        """Seat one more user; its id, or None when all canaries are in use."""

    def close(self) -> None:
        """No more will come: whoever still waits for company is seated with what there is."""

    def place_of(self, user_id: str) -> Place:
        """Whether this user waits for company, is seated, or came too late for any."""


class PairSeats:
    """Each user and the one that comes next write to each other."""

    def __init__(self, pairs: Pairs, plan_of: Callable[[str, str], UserPlan], add: Callable[[UserPlan], None]) -> None:
        self._pairs, self._plan_of, self._add = pairs, plan_of, add

    def take(self) -> str | None:
        """See `Seating`."""
        if (pair := self._pairs.take()) is None:
            return None
        plan = self._plan_of(*pair)
        self._add(plan)
        return plan.user_id

    def close(self) -> None:
        """See `Seating`; whoever came alone writes to somebody who never reads."""

    def place_of(self, user_id: str) -> Place:
        """See `Seating`."""
        return "seated"


class GroupSeats:
    """A group is made when so many users have come as it will have connected; the rest of its members never connect.

    All of a group's users are in one process, and so in one journal. Its idle members are the same for all groups.
    """

    def __init__(
        self,
        settings: Settings,
        api: OpenIMApi,
        plan_of: Callable[[str, Sequence[Target]], UserPlan],
        add: Callable[[UserPlan], None],
        *,
        run_id: str,
        worker: int,
        workers: int,
        first: int = 0,
    ) -> None:
        """`first`: the number of the first canary that sits here."""
        self._settings, self._api, self._plan_of, self._add = settings, api, plan_of, add
        self._name = f"{run_id}-{worker}".lower().replace("_", "-")
        self._numbers = itertools.count(first + worker, max(workers, 1))
        self._groups = itertools.count()
        self._connected = settings.group_connected or settings.group_size
        self._waiting: list[str] = []
        self._alone: set[str] = set()
        self._clock = time.monotonic
        self._closed, self._last_s = False, self._clock()

    def take(self) -> str | None:
        """See `Seating`."""
        if (me := self._settings.user_id(next(self._numbers))) is None:
            return None
        self._waiting.append(me)
        self._last_s = self._clock()
        if len(self._waiting) == self._connected:
            self._open()
        return me

    def close(self) -> None:
        """See `Seating`."""
        self._closed = True

    def place_of(self, user_id: str) -> Place:
        """See `Seating`."""
        # Locust says that all are there when it has started them; the last of them take their seats a moment later.
        if self._closed and self._waiting and self._clock() - self._last_s > LATECOMERS_S:
            if len(self._waiting) > 1:
                self._open()
            self._alone.update(self._waiting)
            self._waiting = []
        return "waiting" if user_id in self._waiting else "alone" if user_id in self._alone else "seated"

    def _open(self) -> None:
        here, self._waiting = self._waiting, []
        idle = [f"{IDLE_PREFIX}{number:05d}" for number in range(self._settings.group_size - len(here))]
        group_id = f"load-{self._name}-{next(self._groups)}"
        self._api.ensure_registered([*here, *idle])
        self._api.create_group(group_id, here[0], [*here, *idle])
        target = Target(peer=Peer(GROUP, group_id), conversation=f"sg_{group_id}", members=here)
        for user in here:
            self._add(self._plan_of(user, [target]))


class MixedSeats:
    """As people are: most of them in chats of two, the others in groups. `share` is that of the groups."""

    def __init__(self, pairs: PairSeats, groups: GroupSeats, share: float) -> None:
        self._pairs, self._groups, self._share = pairs, groups, share
        self._owed = 0.0

    def take(self) -> str | None:
        """See `Seating`. Evenly spread, so that a small run has both."""
        self._owed += self._share
        if self._owed < 1:
            return self._pairs.take()
        self._owed -= 1
        return self._groups.take()

    def close(self) -> None:
        """See `Seating`."""
        self._pairs.close()
        self._groups.close()

    def place_of(self, user_id: str) -> Place:
        """See `Seating`."""
        return self._groups.place_of(user_id)
