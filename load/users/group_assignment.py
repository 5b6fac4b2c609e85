"""Assigning users to the pairs or groups in which they write. Locust spawns users one by one; a complete pair or group is passed to the engine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from load.engine.frames import GROUP, Peer
from load.engine.plan import Target, UserPlan
from load.target import IDLE_PREFIX, LoadConfig
from load.users.openim import OpenIMApi
from load.users.pairs import Pairs

Status = Literal["waiting", "assigned", "alone"]
LATE_USERS_S: Final = 1.0
"""How long after the last user an incomplete group waits for more: locust reports "all spawned" when it has started them."""


class Assignment(Protocol):
    """How users are assigned. Raises what OpenIM, or the platform's gateway, raises."""

    def add_user(self) -> str | None:
        """Assign one more user; returns its id, or None when all canaries are in use."""

    def close(self) -> None:
        """All users are spawned: form the last, incomplete group."""

    def status_of(self, user_id: str) -> Status:
        """Whether this user waits for more members, is assigned, or is the only one of the last group."""


class PairAssignment:
    """Each user and the next one write to each other."""

    def __init__(self, pairs: Pairs, plan_of: Callable[[str, str], UserPlan], add: Callable[[UserPlan], None]) -> None:
        self._pairs, self._plan_of, self._add = pairs, plan_of, add

    def add_user(self) -> str | None:
        """See `Assignment`."""
        if (pair := self._pairs.take()) is None:
            return None
        plan = self._plan_of(*pair)
        self._add(plan)
        return plan.user_id

    def close(self) -> None:
        """See `Assignment`; an odd last user writes to a peer that never connects."""

    def status_of(self, user_id: str) -> Status:
        """See `Assignment`."""
        return "assigned"


class GroupAssignment:
    """Groups of users. A group is created when all of its connected members are spawned; its other members never connect.

    All users of a group are in one process and so in one journal. The members that never connect are the same in all groups.
    """

    def __init__(
        self,
        config: LoadConfig,
        api: OpenIMApi,
        plan_of: Callable[[str, Sequence[Target]], UserPlan],
        add: Callable[[UserPlan], None],
        *,
        run_id: str,
        worker: int,
        workers: int,
        first: int = 0,
    ) -> None:
        """`first`: the number of the first canary that is in a group."""
        self._config, self._api, self._plan_of, self._add = config, api, plan_of, add
        self._name = f"{run_id}-{worker}".lower().replace("_", "-")
        self._numbers = itertools.count(first + worker, max(workers, 1))
        self._groups = itertools.count()
        self._size = config.traffic.group_size
        self._connected = config.traffic.group_connected or self._size
        self._waiting: list[str] = []
        self._alone: set[str] = set()
        self._clock = time.monotonic
        self._closed, self._last_s = False, self._clock()

    def add_user(self) -> str | None:
        """See `Assignment`."""
        if (me := self._config.user_id(next(self._numbers))) is None:
            return None
        self._waiting.append(me)
        self._last_s = self._clock()
        if len(self._waiting) == self._connected:
            self._create()
        return me

    def close(self) -> None:
        """See `Assignment`."""
        self._closed = True

    def status_of(self, user_id: str) -> Status:
        """See `Assignment`."""
        if self._closed and self._waiting and self._clock() - self._last_s > LATE_USERS_S:
            if len(self._waiting) > 1:
                self._create()
            self._alone.update(self._waiting)
            self._waiting = []
        return "waiting" if user_id in self._waiting else "alone" if user_id in self._alone else "assigned"

    def _create(self) -> None:
        members, self._waiting = self._waiting, []
        idle = [f"{IDLE_PREFIX}{number:05d}" for number in range(self._size - len(members))]
        group_id = f"load-{self._name}-{next(self._groups)}"
        self._api.ensure_registered([*members, *idle])
        self._api.create_group(group_id, members[0], [*members, *idle])
        target = Target(peer=Peer(GROUP, group_id), conversation=f"sg_{group_id}", members=members)
        for user in members:
            self._add(self._plan_of(user, [target]))


class MixedAssignment:
    """A share of the users in groups, the others in pairs, evenly mixed, so that a small run has both."""

    def __init__(self, pairs: PairAssignment, groups: GroupAssignment, share: float) -> None:
        """`share`: of the users in groups."""
        self._pairs, self._groups, self._share = pairs, groups, share
        self._due_in_groups = 0.0

    def add_user(self) -> str | None:
        """See `Assignment`."""
        self._due_in_groups += self._share
        if self._due_in_groups < 1:
            return self._pairs.add_user()
        self._due_in_groups -= 1
        return self._groups.add_user()

    def close(self) -> None:
        """See `Assignment`."""
        self._pairs.close()
        self._groups.close()

    def status_of(self, user_id: str) -> Status:
        """See `Assignment`."""
        return self._groups.status_of(user_id)
