"""Finds publishes to a RabbitMQ queue, and whether the queue was deleted and declared again.

It relies on these facts, measured on RabbitMQ 3.10:

* Counters lag by the statistics interval (5 s by default) and the 5 s sampling of the management plugin.
* A queue that is deleted and declared again may keep the counter of the deleted one, or start at 0.
* The message sequence of a classic queue (`next_seq_id`) then starts at 0.
* All counters are lost when a node restarts.
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

OWN_COUNTERS = ("publish", "deliver", "exchange_in")
SETTLE_READS_MAX = 5
# A node reports its uptime with the statistics, so some seconds late, and later under load.
RESTART_TOLERANCE = timedelta(seconds=30)


class QueueObserver(Observer):
    """Finds writes to one queue of the role's vhost.

    Counters: `publish` and `deliver` of the queue; `exchange_in` of the exchange that the profile names for it (all messages
    published there, routed or not); and three of the whole broker, which others move as well: `unroutable`, `queues_created`,
    `queues_deleted`.

    Witnesses: `declare` and `delete` of a queue that appeared, disappeared or was declared again; `publish` where the queue has
    messages that no counter shows; `unroutable` where its exchange took messages and nothing else is bound to it. The last one
    is a hint, because the broker does not show the routing keys.
    """

    unseen: tuple[str, ...] = (
        "publishes of the last seconds that were consumed at once: the counters lag",
        "a queue that was declared, used and deleted between two runs: the broker counts such queues but does not name them",
        "publishes that an alternate exchange took",
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
        paths = [self._queue_path, "/api/overview", "/api/nodes"]
        if self._queue.exchange:
            paths += [self._exchange_path, f"/api/bindings/{segment(self._vhost)}"]
        return (*(f"GET {path}" for path in paths), f"passive declare of {self._queue.name}")

    @property
    def _queue_path(self) -> str:
        return f"/api/queues/{segment(self._vhost)}/{segment(self._queue.name)}"

    @property
    def _exchange_path(self) -> str:
        return f"/api/exchanges/{segment(self._vhost)}/{segment(self._queue.exchange or '')}"

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
        queue = await self._found(self._queue_path)
        if queue is None and self._vhost not in await self._client.vhosts():
            raise Missing(
                f"{self._client.label}: vhost {self._vhost} does not exist. Correct roles.{self._client.role}.vhost in the profile."
            )
        nodes, nodes_at = await self._client.get_dated("/api/nodes")
        counters, limitations = _counters(overview, queue)
        state = _state(queue, nodes, nodes_at)
        if counters and self._queue.exchange:
            counters |= await self._exchange_in()
            state["exchange alone"] = await self._exchange_alone()
        if queue is not None:
            ready = (await self._client.passive_declare(self._vhost, self._queue.name)).messages
            state["messages"] = max(state["messages"], ready or 0)  # AMQP shows it at once, the API some seconds later
            if queue.get("state") not in (None, "running", "idle", "flow"):
                limitations.append(f"what happens in the queue: its state is {queue['state']}")
        processes = ", ".join(sorted(f"{node['name']} (process {node.get('os_pid', '?')})" for node in nodes))
        continuity = {"broker": f"{overview.get('cluster_name', '?')}: {processes}"}
        no_proof = limitations[0] if not counters and queue is not None and state["sequence"] is None else ""
        return CounterSnapshot(
            at, continuity, counters, json.dumps(state), tuple(limitations), inconclusive_because=no_proof
        )

    async def _exchange_in(self) -> dict[str, int]:
        """The number of messages published to the exchange, routed or not."""
        exchange = await self._found(self._exchange_path)
        if exchange is None:
            return {}
        return {"exchange_in": int((exchange.get("message_stats") or {}).get("publish_in", 0))}

    async def _exchange_alone(self) -> bool:
        """Whether no other queue or exchange is bound to the exchange."""
        bindings = await self._client.get(f"/api/bindings/{segment(self._vhost)}")
        return not any(
            item["source"] == self._queue.exchange and item["destination"] != self._queue.name for item in bindings
        )

    async def _found(self, path: str) -> Mapping[str, Any] | None:
        with suppress(Missing):
            found: Mapping[str, Any] = await self._client.get(path)
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
        made, gone = _delta(before, now, "queues_created"), _delta(before, now, "queues_deleted")
        if not was["present"] and not is_now["present"] and made > 0 and gone > 0:
            self.limitations = (
                f"whether this queue is one of the {made} that were declared and the {gone} that were deleted on the broker "
                "between two runs",
            )
        found = _changes(was, is_now, counted=_delta(before, now, "publish") > 0)
        arrived = _delta(before, now, "exchange_in")
        if not found and arrived > 0 and was.get("exchange alone") and is_now.get("exchange alone"):
            how = f"exchange {self._queue.exchange} took {arrived} more messages, and no other queue is bound to it"
            found.append(("unroutable", how))
        for operation, how in found:
            yield Witness(operation=operation, key=f"{self._queue.name}@{self._vhost}", row={}, how=how)


def _counters(overview: Mapping[str, Any], queue: Mapping[str, Any] | None) -> tuple[dict[str, int], list[str]]:
    """Counters, and why there are none. A queue without statistics has counted nothing yet."""
    if overview.get("rates_mode") == "none" or overview.get("disable_stats"):
        return {}, ["publishes: the broker's statistics are switched off (rates_mode, disable_stats)"]
    broker, churn = overview.get("message_stats") or {}, overview.get("churn_rates") or {}
    counters = {
        "unroutable": int(broker.get("drop_unroutable", 0)) + int(broker.get("return_unroutable", 0)),
        "queues_created": int(churn.get("queue_created", 0)),
        "queues_deleted": int(churn.get("queue_deleted", 0)),
    }
    if queue is not None:
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
        "messages": int((queue or {}).get("messages") or 0),
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
    if not counted and is_now["messages"] > base["messages"]:
        found.append(("publish", f"it has {is_now['messages']} messages, and had {base['messages']} before"))
    elif not counted and None not in (is_now["sequence"], base["sequence"]) and is_now["sequence"] > base["sequence"]:
        found.append(("publish", f"its message sequence went from {base['sequence']} to {is_now['sequence']}"))
    return found
