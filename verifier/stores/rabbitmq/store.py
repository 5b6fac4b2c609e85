"""The store behind a broker role: its tap, observers, privileges and list of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from verifier.profile.budgets import StoreBudget
from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole
from verifier.profile.timing import Timing
from verifier.stores.errors import Denied
from verifier.stores.protocols import Privilege, StoreObject
from verifier.stores.rabbitmq.client import RabbitMQClient, segment
from verifier.stores.rabbitmq.listing import list_objects
from verifier.stores.rabbitmq.observer import QueueObserver
from verifier.stores.rabbitmq.source import TapSource

WRITE_TAGS = {"administrator": "may change everything", "policymaker": "may set policies and parameters"}


class RabbitMQStore(RabbitMQClient):
    """One broker (or cluster), as the pool uses it."""

    def __init__(self, role: str, config: BrokerRole, budget: StoreBudget | None = None) -> None:
        super().__init__(role, config, budget)
        self._taps: dict[str, TapSource] = {}

    def tap(self, queue: Queue) -> TapSource:
        """The messages of the operator's tap queue, the only queue that the verifier consumes from."""
        return self._taps.setdefault(queue.name, TapSource(self, queue))

    def observer(self, queue: Queue, columns: tuple[str, ...], timing: Timing) -> QueueObserver:
        """The observer of a queue."""
        return QueueObserver(self, queue, lag_s=timing.counter_flush_s)

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """Kinds `vhosts queues exchanges bindings consumers policies parameters`, of all vhosts.

        What cannot be read is returned as an object of kind `unreadable`.
        """
        return await list_objects(self, kind)

    async def privileges(self) -> Sequence[Privilege]:
        """What the user's tags and, where the broker shows them, permissions allow beyond reading."""
        me = await self.get("/api/whoami")
        name, tags = str(me.get("name", "?")), _tags(me.get("tags"))
        found = [
            Privilege(self.label, f"tag {tag}", "too_many", f"{name} {what}")
            for tag, what in WRITE_TAGS.items()
            if tag in tags
        ]
        if not tags & {"monitoring", "administrator"}:
            found.append(
                Privilege(
                    self.label, "tag monitoring", "missing", f"{name} does not see the broker's counters without it"
                )
            )
        return [*found, await self._permissions(name)]

    async def _permissions(self, name: str) -> Privilege:
        what = "permissions in the vhosts"
        try:
            entries = await self.get(f"/api/users/{segment(name)}/permissions")
        except Denied:
            detail = f"the broker shows them to administrators only; check: rabbitmqctl list_user_permissions {name}"
            return Privilege(self.label, what, "unknown", detail)
        allowed = [
            f"{verb} {entry[verb]!r} in {entry['vhost']}"
            for entry in entries
            for verb in ("configure", "write", "read")
            if entry.get(verb) not in ("", "^$")
        ]
        if allowed:
            shown = ", ".join(allowed[:3]) + (f" and {len(allowed) - 3} more" if len(allowed) > 3 else "")
            return Privilege(
                self.label, what, "too_many", f"{name} has {shown}; entries with '^$' are enough for reading"
            )
        return Privilege(self.label, what, "ok", f"{name} may configure, write and read nothing")


def _tags(raw: Any) -> set[str]:
    """Tags as a set: the broker sends a list since 3.9, before that a comma-separated text."""
    return {str(tag).strip() for tag in (raw.split(",") if isinstance(raw, str) else raw or [])}
