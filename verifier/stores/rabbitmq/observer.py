"""Finds publishes to a RabbitMQ queue, and whether the queue was deleted and declared again.

It relies on these facts, measured on RabbitMQ 3.10:

* Counters lag by the statistics interval (5 s by default) and the 5 s sampling of the management plugin.
* A queue that is deleted and declared again may keep the counter of the deleted one, or start at 0.
* The message sequence of a classic queue (`next_seq_id`) then starts at 0. From 3.12.7 and 3.13 on the management API does not
  show it (https://github.com/rabbitmq/rabbitmq-server/pull/9578).
* All counters are lost when a node restarts. Those of a node that is down are not shown.
* An exchange counts the messages that it takes (`publish_in`), and each queue that one of them reaches (`publish_out`), also
  through other exchanges and alternate ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from verifier.profile.relations import Queue
from verifier.stores.errors import ContinuityLost, Missing
from verifier.stores.protocols import CounterSnapshot, Observer, Witness
from verifier.stores.rabbitmq.client import RabbitMQClient, segment

OWN_COUNTERS = ("publish", "deliver", "exchange_in", "exchange_out")
UP = frozenset({None, "running", "idle", "flow", "live"})
"""The states of a queue that works. `live` is shown where statistics are off, None for one that is seconds old."""
SETTLE_READS_MAX = 5
DEFAULT_EXCHANGE = "amq.default"
"""The management API's name for the default exchange."""
# A node reports its uptime with the statistics, so some seconds late, and later under load.
RESTART_TOLERANCE = timedelta(seconds=30)


class QueueObserver(Observer):
    """Finds writes to one queue of the role's vhost.

    Counters: `publish` and `deliver` of the queue; `exchange_in` and `exchange_out` of the exchange that publishers use (the
    default one, if the profile names none); and three of the whole broker, which others move as well: `unroutable`,
    `queues_created`, `queues_deleted`.

    Witnesses: `declare` and `delete` of a queue that appeared, disappeared or was declared again; `publish` where the queue has
    messages that no counter shows, and where an exchange that the profile reserves for it took messages; `unroutable` where its
    exchange took messages that reached no queue. The last one is a hint, because the broker does not show the routing keys.
    """

    unseen: tuple[str, ...] = (
        "publishes of the last seconds that were consumed at once: the counters lag",
        "a queue that was declared, used and deleted between two runs: the broker counts such queues but does not name them",
        "publishes that reached another queue, by another binding or an alternate exchange: MQ-01 follows these ways",
    )

    def __init__(self, client: RabbitMQClient, queue: Queue, *, lag_s: float) -> None:
        """`lag_s`: seconds after which a publish is certainly counted, 10 with the broker's defaults."""
        self._client = client
        self._queue = queue
        self._lag_s = lag_s
        self._vhost = client.config.vhost
        self.label = f"{client.role}: {queue.name} in vhost {self._vhost}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The requests that are sent."""
        paths = [self._queue_path, "/api/overview", "/api/nodes", self._exchange_path]
        return (*(f"GET {path}" for path in paths), f"passive declare of {self._queue.name}")

    @property
    def _queue_path(self) -> str:
        return f"/api/queues/{segment(self._vhost)}/{segment(self._queue.name)}"

    @property
    def _exchange_path(self) -> str:
        return f"/api/exchanges/{segment(self._vhost)}/{segment(self._queue.exchange or DEFAULT_EXCHANGE)}"

    async def read(self, *, settled: bool = False) -> CounterSnapshot:
        """Counters and state. `settled` waits for two equal snapshots that are further apart than the statistics lag."""
        snapshot = await self._read()
        for _ in range(SETTLE_READS_MAX if settled and self._lag_s > 0 else 0):
            await asyncio.sleep(self._lag_s)
            again = await self._read()
            still = all(again.counters.get(name) == snapshot.counters.get(name) for name in OWN_COUNTERS)
            snapshot = again
            if still:
                break
        return snapshot

    async def _read(self) -> CounterSnapshot:
        overview, at = await self._client.get_dated("/api/overview")
        if not isinstance(overview, dict) or "rabbitmq_version" not in overview:
            raise self._client.strange("/api/overview")
        queue = await self._found(self._queue_path, self._queue.name)
        if queue is None and self._vhost not in await self._client.vhosts():
            raise Missing(
                f"{self._client.label}: vhost {self._vhost} does not exist. Correct roles.{self._client.role}.vhost in the profile."
            )
        nodes = await self._client.get_list("/api/nodes")
        counters, limitations = _counters(overview, queue)
        unproven = "" if counters else limitations[0]
        state = _state(queue, nodes, at)
        if counters:
            counters |= (at_exchange := await self._exchange_counters())
            state["exchange"] = bool(at_exchange)
        if queue is not None:
            ready = (await self._client.passive_declare(self._vhost, self._queue.name)).messages
            if ready is not None:  # AMQP shows it at once, the API some seconds later
                state["messages"] = max(state["messages"] or 0, ready)
            if queue.get("state") not in UP:
                unproven = unproven or f"what happens in the queue is unknown: its state is {queue['state']}"
        if down := sorted(str(node["name"]) for node in nodes if node.get("running") is False):
            unproven = unproven or f"publishes through {', '.join(down)} are not counted: the node is down"
        if not self._client.has_clock:
            limitations.append("the broker's clock, which a proxy hides: times are the verifier's")
        processes = ", ".join(sorted(f"{node['name']} (process {node.get('os_pid', '?')})" for node in nodes))
        continuity = {"broker": f"{overview.get('cluster_name', '?')}: {processes}"}
        return CounterSnapshot(
            at, continuity, counters, json.dumps(state), tuple(limitations), inconclusive_because=unproven
        )

    async def _exchange_counters(self) -> dict[str, int]:
        """The number of messages that the exchange took, and of the queues that they reached."""
        exchange = await self._found(self._exchange_path, self._queue.exchange or "")
        if exchange is None:
            return {}
        counted = exchange.get("message_stats") or {}
        return {f"exchange_{way}": int(counted.get(f"publish_{way}", 0)) for way in ("in", "out")}

    async def _found(self, path: str, name: str) -> Mapping[str, Any] | None:
        """The object at a path; None if there is none. Another object, or none of the broker's, is an error."""
        with suppress(Missing):
            found = await self._client.get_object(path)
            if found.get("name") != name:
                raise self._client.strange(path)
            return found
        return None

    async def witnesses(self, before: CounterSnapshot | None, now: CounterSnapshot) -> AsyncIterator[Witness]:
        """What two states of the queue prove without counters. Raises ContinuityLost where a node was restarted in
        between."""
        if before is None:
            return
        was, is_now = json.loads(before.position), json.loads(now.position)
        if restarted := _restarted(was["nodes"], is_now["nodes"]):
            raise ContinuityLost(f"{self._client.label}: {restarted} was restarted, so that its counters started at 0")
        self.limitations = ()
        made, gone = _delta(before, now, "queues_created"), _delta(before, now, "queues_deleted")
        if not was["present"] and not is_now["present"] and made > 0 and gone > 0:
            self.limitations = (
                f"whether this queue is one of the {made} that were declared and the {gone} that were deleted on the broker "
                "between two runs",
            )
        elif was["present"] and is_now["present"] and gone > 0 and None in (was["sequence"], is_now["sequence"]):
            self.limitations = (
                f"whether this queue is one of the {gone} that were deleted on the broker between two runs, and declared again: it "
                "shows no message sequence",
            )
        found = _changes(was, is_now, counted=_delta(before, now, "publish") > 0)
        if not found:
            found = await self._at_the_exchange(before, now)
        for operation, how in found:
            yield Witness(operation=operation, key=f"{self._queue.name}@{self._vhost}", row={}, how=how)
        if now.counters and not before.counters:
            raise ContinuityLost(f"{self._client.label}: its statistics were off in the last run")

    async def _at_the_exchange(self, before: CounterSnapshot, now: CounterSnapshot) -> list[tuple[str, str]]:
        """Messages to the queue's exchange, as far as they say something about the queue."""
        if not before.counters or "exchange" not in json.loads(before.position):
            return []  # the last run did not count them
        name = self._queue.exchange or "(default)"
        arrived = _since(before, now, "exchange_in")
        if self._queue.only_queue and arrived > 0:
            how = f"exchange {name} took {arrived} more messages, and the profile says that all of them are for this queue"
            return [("publish", how)]
        if arrived - _since(before, now, "exchange_out") <= 0:
            return []
        # Both numbers are sampled, so one may be ahead of the other. A second look decides.
        await asyncio.sleep(self._lag_s)
        later = await self._read()
        arrived = _since(before, later, "exchange_in")
        lost = min(arrived - _since(before, later, "exchange_out"), _delta(before, later, "unroutable"))
        if lost <= 0:
            return []
        return [
            ("unroutable", f"of {arrived} more messages that exchange {name} took, at least {lost} reached no queue")
        ]


def _counters(overview: Mapping[str, Any], queue: Mapping[str, Any] | None) -> tuple[dict[str, int], list[str]]:
    """Counters, and why there are none. A queue without statistics has counted nothing yet."""
    # https://www.rabbitmq.com/docs/management, "Disabling statistics": the metrics collector of RabbitMQ 4 is a deprecated
    # feature, which more brokers run without.
    if overview.get("rates_mode") == "none" or overview.get("disable_stats"):
        return {}, ["publishes: the broker's statistics are switched off (rates_mode, disable_stats)"]
    broker, churn = overview.get("message_stats") or {}, overview.get("churn_rates") or {}
    waiting = int((overview.get("queue_totals") or {}).get("messages") or 0)
    if not broker.get("publish") and waiting:
        return {}, [
            f"publishes: the broker has {waiting} messages in its queues and has counted no publish since it started "
            "(collect_statistics)"
        ]
    counters = {
        "unroutable": int(broker.get("drop_unroutable", 0)) + int(broker.get("return_unroutable", 0)),
        "queues_created": int(churn.get("queue_created", 0)),
        "queues_deleted": int(churn.get("queue_deleted", 0)),
    }
    if queue is not None and queue.get("state") in UP:
        own = queue.get("message_stats") or {}
        counters |= {"publish": int(own.get("publish", 0)), "deliver": int(own.get("deliver_get", 0))}
    if not broker.get("publish"):
        return counters, ["whether the broker's counters move: it has counted no publish since it started"]
    return counters, []


def _state(queue: Mapping[str, Any] | None, nodes: list[Mapping[str, Any]], at: datetime) -> dict[str, Any]:
    """The state that the next run compares with; it is the position of the snapshot."""
    started = {
        str(node["name"]): (at - timedelta(milliseconds=int(node["uptime"]))).isoformat()
        for node in nodes
        if "uptime" in node
    }
    return {
        "present": queue is not None,
        "sequence": _sequence(queue),
        "messages": None
        if queue is not None and queue.get("messages") is None
        else int((queue or {}).get("messages", 0)),
        "nodes": started,
    }


def _sequence(queue: Mapping[str, Any] | None) -> int | None:
    """The number of messages that a classic queue has taken since it was declared; None for other types and for a queue
    that is down."""
    if queue is None:
        return None
    if "state" not in queue:  # declared seconds ago, no statistics yet
        return 0 if queue.get("type") == "classic" else None
    found = (queue.get("backing_queue_status") or {}).get("next_seq_id")
    return None if found is None else int(found)


def _restarted(was: Mapping[str, str], is_now: Mapping[str, str]) -> str:
    """A node whose start time changed, in words. In containers process ids do not change, so the continuity token is not
    enough."""
    for name, start in was.items():
        if name not in is_now:
            return f"node {name}, gone from the cluster,"
        if abs(datetime.fromisoformat(is_now[name]) - datetime.fromisoformat(start)) > RESTART_TOLERANCE:
            return f"node {name}"
    return ""


def _delta(before: CounterSnapshot, now: CounterSnapshot, name: str) -> int:
    """By how much a counter moved; 0 where it did not exist before."""
    count = now.counters.get(name, 0)
    return count - before.counters.get(name, count)


def _since(before: CounterSnapshot, now: CounterSnapshot, name: str) -> int:
    """By how much a counter of the exchange moved; an exchange that did not exist before had counted nothing."""
    return now.counters.get(name, 0) - before.counters.get(name, 0) if name in now.counters else 0


def _changes(was: Mapping[str, Any], is_now: Mapping[str, Any], *, counted: bool) -> list[tuple[str, str]]:
    """Operations on the queue, each with how it is known."""
    if not is_now["present"]:
        return [("delete", "the queue is gone")] if was["present"] else []
    found = []
    redeclared = (
        was["present"] and (is_now["sequence"] or 0) < (was["sequence"] or 0) and is_now["sequence"] is not None
    )
    if not was["present"]:
        found.append(("declare", "the queue exists, and did not before"))
    elif redeclared:
        found.append(
            ("declare", "the queue's message sequence started again: the queue was deleted and declared again")
        )
    base = {"messages": 0, "sequence": 0} if redeclared or not was["present"] else was
    if not counted and None not in (is_now["messages"], base["messages"]) and is_now["messages"] > base["messages"]:
        found.append(("publish", f"it has {is_now['messages']} messages, and had {base['messages']} before"))
    elif not counted and None not in (is_now["sequence"], base["sequence"]) and is_now["sequence"] > base["sequence"]:
        found.append(("publish", f"its message sequence went from {base['sequence']} to {is_now['sequence']}"))
    return found
