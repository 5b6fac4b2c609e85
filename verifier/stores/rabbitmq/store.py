"""The store behind a broker role: its tap, observers, privileges and list of objects."""

from __future__ import annotations

import re
from collections.abc import Sequence

from verifier.profile.budgets import StoreBudget
from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole
from verifier.profile.timing import Timing
from verifier.stores.errors import Denied, Missing
from verifier.stores.protocols import Privilege, StoreObject
from verifier.stores.rabbitmq.client import RabbitMQClient, segment
from verifier.stores.rabbitmq.listing import list_objects, tags_of
from verifier.stores.rabbitmq.observer import QueueObserver
from verifier.stores.rabbitmq.source import TapSource

WRITE_TAGS = {"administrator": "may change everything", "policymaker": "may set policies and parameters"}
NOTHING = ("", "^$")
"""The two patterns that match no name (https://www.rabbitmq.com/docs/access-control)."""


class RabbitMQStore(RabbitMQClient):
    """One broker (or cluster), as the pool uses it."""

    def __init__(self, role: str, config: BrokerRole, budget: StoreBudget | None = None) -> None:
        super().__init__(role, config, budget)
        self._taps: dict[str, TapSource] = {}

    def tap(self, queue: Queue, tapped: Queue | None = None) -> TapSource:
        """The messages of the operator's tap queue, the only queue that the verifier consumes from. `tapped`: the queue whose
        messages it must get as well."""
        return self._taps.setdefault(queue.name, TapSource(self, queue, tapped))

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
        me = await self.get_object("/api/whoami")
        name, tags = str(me.get("name", "?")), tags_of(me)
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
        return [*found, *await self._permissions(name)]

    async def _permissions(self, name: str) -> list[Privilege]:
        what = "permissions in the vhosts"
        try:
            entries = await self.get_list(f"/api/users/{segment(name)}/permissions")
            topics = await self.get_list(f"/api/users/{segment(name)}/topic-permissions")
        except (Denied, Missing):
            # Missing: the user is not the broker's own, but one of LDAP, OAuth or an HTTP backend.
            detail = f"the broker shows them to administrators only; check: rabbitmqctl list_user_permissions {name}"
            return [Privilege(self.label, what, "unknown", detail)]
        allowed = [
            f"{verb} {entry[verb]!r} in {entry['vhost']}"
            for entry in entries
            for verb in ("configure", "write", "read")
            if entry.get(verb) not in NOTHING and not (verb == "read" and _names_queues(str(entry[verb])))
        ]
        found = [Privilege(self.label, what, "ok", f"{name} may configure, write and read nothing")]
        if allowed:
            detail = f"{name} has {_first(allowed)}; entries with '^$' are enough for reading"
            found = [Privilege(self.label, what, "too_many", detail)]
        elif taps := [f"{entry['read']} in {entry['vhost']}" for entry in entries if entry.get("read") not in NOTHING]:
            found = [
                Privilege(self.label, what, "notice", f"{name} may consume {_first(taps)}, as a tap queue needs it")
            ]
        writes = [
            f"write {entry['write']!r} to exchange {entry.get('exchange') or '(default)'} in {entry['vhost']}"
            for entry in topics
            if entry.get("write") not in NOTHING
        ]
        if writes:  # they narrow the permission to write, and allow nothing without it
            found.append(Privilege(self.label, "topic permissions", "notice", f"{name} has {_first(writes)}"))
        return found


def _names_queues(pattern: str) -> bool:
    """Whether a permission is for queues by their whole names, as `^verifier\\.tap$`."""
    return re.fullmatch(r"\^(?:[\w:@-]|\\.)+\$", pattern) is not None


def _first(texts: Sequence[str], shown: int = 3) -> str:
    return ", ".join(texts[:shown]) + (f" and {len(texts) - shown} more" if len(texts) > shown else "")
