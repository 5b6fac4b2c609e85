"""Which servers a role consists of: a single one, the shards of a cluster, or the master that Sentinel names.

A layout is read again before each reading and compared afterwards. A failover or a resharding in between may hide keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from verifier.stores.errors import StoreError
from verifier.stores.redis.node import Node

SLOTS = 16_384
"""The number of hash slots of a cluster (Redis cluster specification)."""
STALE_AFTER_S = 15
"""A master pings its replicas every 10 s (`repl-ping-replica-period`). After longer silence, a replica's data are old."""
_LINE = re.compile(r"^(?P<host>.*):(?P<port>\d+)(?:@\d+)?(?:,(?P<name>[^,]*))?")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The servers of a role at one moment.

    Attributes:
        shards: the servers whose keys together are all keys.
        listening: the servers on which clients may subscribe, replicas included.
        identity: what changes with a failover, a restart or a resharding, by name.
        hidden: why not all keys can be read now, in words.
        unseen: servers that were not asked, in words.
    """

    shards: tuple[Node, ...]
    listening: tuple[Node, ...]
    identity: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClusterEntry:
    """One line of CLUSTER NODES. `moving`: slots that are being moved from or to it; only a node's own line shows them."""

    node_id: str
    host: str
    port: int
    hostname: str
    flags: frozenset[str]
    slots: tuple[tuple[int, int], ...]
    moving: int

    @property
    def primary(self) -> bool:
        """Whether it serves slots as a master."""
        return "master" in self.flags

    @property
    def reachable(self) -> bool:
        """Whether the cluster can reach it."""
        return not self.flags & {"fail", "noaddr", "handshake"}


def parse_cluster_nodes(text: str) -> list[ClusterEntry]:
    """The answer of CLUSTER NODES (https://redis.io/docs/latest/commands/cluster-nodes/)."""
    entries = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 8 or (address := _LINE.match(words[1])) is None:
            continue
        ranges = [word for word in words[8:] if not word.startswith("[")]
        entries.append(
            ClusterEntry(
                node_id=words[0],
                host=address["host"],
                port=int(address["port"]),
                hostname=address["name"] or "",
                flags=frozenset(words[2].split(",")),
                slots=tuple(_range(word) for word in ranges),
                moving=len(words) - 8 - len(ranges),
            )
        )
    return entries


def _range(word: str) -> tuple[int, int]:
    first, _, last = word.partition("-")
    return int(first), int(last or first)


def gaps(slots: Iterable[tuple[int, int]]) -> list[str]:
    """The slots of a cluster that these ranges lack, as text."""
    missing, expected = [], 0
    for first, last in [*sorted(slots), (SLOTS, SLOTS)]:
        if first > expected:
            missing.append(f"{expected}-{first - 1}" if first - 1 > expected else str(expected))
        expected = max(expected, last + 1)
    return missing


async def own_view(node: Node) -> list[ClusterEntry]:
    """CLUSTER NODES as one node sees it."""
    answer = await node.run("CLUSTER NODES", node.send("CLUSTER", "NODES"))
    return parse_cluster_nodes(answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer))


async def replication(node: Node) -> dict[str, Any] | None:
    """The facts about replication, by INFO or else by ROLE; None where neither is granted."""
    with suppress(StoreError):
        return await node.info("replication")
    with suppress(StoreError):
        answer = await node.run("ROLE", node.send("ROLE"))
        role = _text(answer[0])
        if role == "slave":
            up = _text(answer[3]) in ("connected", "sync")
            return {"role": role, "master_link_status": "up" if up else "down"}
        return {"role": role}
    return None


async def refuse_wrong_mode(node: Node, mode: str, role: str) -> None:
    """Raise StoreError where the server is of another kind than the profile says."""
    facts: dict[str, Any] = {}
    with suppress(StoreError):
        facts = await node.info("server")
    kind = str(facts.get("redis_mode") or facts.get("server_mode") or "")
    if kind == "sentinel" and mode != "sentinel":
        raise StoreError(
            f"{node.label} is a Sentinel, which has no keys. Set roles.{role}.mode = 'sentinel' and roles.{role}.sentinel_master."
        )
    clustered = kind == "cluster" if kind else await _answers_cluster_info(node)
    if clustered and mode != "cluster":
        raise StoreError(
            f"{node.label} is a node of a Redis Cluster and has only a part of the keys. Set roles.{role}.mode = 'cluster'."
        )
    if mode == "cluster" and kind and not clustered:
        raise StoreError(
            f"{node.label} is not a node of a Redis Cluster. Remove roles.{role}.mode, or correct the URL."
        )


async def _answers_cluster_info(node: Node) -> bool:
    with suppress(StoreError):
        answer = await node.run("CLUSTER INFO", node.send("CLUSTER", "INFO"))
        return "cluster_state" in _text(answer)
    return False


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def replica_faults(facts: dict[str, Any] | None, *, mode: str, role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is hidden, and what is unseen, because of a single server's part in replication."""
    if facts is None:
        return (), ("whether this server is a replica that lags behind: INFO and ROLE are not granted",)
    if str(facts.get("role")) == "master":
        return (), ()
    silent_s = int(facts.get("master_last_io_seconds_ago", 0) or 0)
    if str(facts.get("master_link_status", "up")) != "up" or int(facts.get("master_sync_in_progress", 0) or 0):
        return ("the server is a replica whose link to its master is down, so its keys are old",), ()
    if silent_s > STALE_AFTER_S:
        return (
            f"the server is a replica that has not heard from its master for {silent_s} s, so its keys are old",
        ), ()
    if mode == "replica":
        return (), ("writes that the master has not yet sent to this replica",)
    problem = "the server is a replica, which may lack the newest keys"
    return (f"{problem} (name the master, or set roles.{role}.mode = 'replica' if it is meant)",), ()
