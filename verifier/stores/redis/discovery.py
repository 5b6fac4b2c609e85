"""Finds the servers of a role for each mode of the profile: single, replica, cluster, sentinel."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from verifier.stores.errors import StoreError, Unreachable
from verifier.stores.redis.address import Address, parse_address
from verifier.stores.redis.layout import (
    ClusterEntry,
    Layout,
    gaps,
    own_view,
    refuse_wrong_mode,
    replica_faults,
    replication,
)
from verifier.stores.redis.node import Node, Wiring


class Discovery(Protocol):
    """Reads the layout of a role."""

    async def read(self) -> Layout:
        """The layout now. Servers are connected. Raises StoreError where no complete one is known."""

    async def close(self) -> None:
        """Close every connection."""


def discovery_for(wiring: Wiring, addresses: tuple[Address, ...]) -> Discovery:
    """The discovery for the mode of the profile."""
    match wiring.config.mode:
        case "cluster":
            return ClusterDiscovery(wiring, addresses)
        case "sentinel":
            return SentinelDiscovery(wiring, addresses)
        case _:
            if len(addresses) > 1:
                raise StoreError(
                    f"roles.{wiring.role}.url names {len(addresses)} servers. Name one, or set roles.{wiring.role}.mode."
                )
            return SingleDiscovery(wiring, addresses[0])


class SingleDiscovery:
    """One server: a master, or a replica on purpose."""

    def __init__(self, wiring: Wiring, address: Address) -> None:
        self._wiring = wiring
        self._node = Node(wiring, address)
        self._checked = False

    async def read(self) -> Layout:
        """The server, and its part in replication."""
        node, role = self._node, self._wiring.role
        if not self._checked:
            await node.connect()
            await refuse_wrong_mode(node, self._wiring.config.mode, role)
            self._checked = True
        else:
            await node.connect()  # a server that was restarted has another run id
        facts = await replication(node)
        node.primary = facts is None or str(facts.get("role")) == "master"
        hidden, unseen = replica_faults(facts, mode=self._wiring.config.mode, role=role)
        identity = (("part in replication", str((facts or {}).get("role", "?"))), ("server run", node.run_id))
        return Layout(shards=(node,), listening=(node,), identity=identity, hidden=hidden, unseen=unseen)

    async def close(self) -> None:
        """Close every connection."""
        await self._node.close()


class SentinelDiscovery:
    """The master that a Sentinel names. The URL has the Sentinels' addresses and the data server's credentials."""

    def __init__(self, wiring: Wiring, addresses: tuple[Address, ...]) -> None:
        self._wiring = wiring
        config = wiring.config
        secret = config.sentinel_password
        login = replace(
            wiring,
            user=config.sentinel_user,
            password=secret.get_secret_value() if secret else None,
            index=0,
        )
        self._sentinels = [Node(login, address, name=f"sentinel {address}") for address in addresses]
        self._masters: dict[Address, Node] = {}

    async def read(self) -> Layout:
        """The present master. Raises Unreachable where no Sentinel names one that really is a master."""
        name = self._wiring.config.sentinel_master or ""
        problems = []
        for sentinel in self._sentinels:
            try:
                answer = await sentinel.run("SENTINEL", sentinel.send("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name))
            except StoreError as error:
                problems.append(str(error))
                continue
            if not answer:
                problems.append(f"{sentinel.label} knows no master called {name!r}")
                continue
            host, port = (item.decode() if isinstance(item, bytes) else str(item) for item in answer)
            master = self._master(_mapped(self._wiring, host, int(port)))
            try:
                await master.connect()
                facts = await replication(master)
            except StoreError as error:
                problems.append(str(error))
                continue
            if facts is not None and str(facts.get("role")) != "master":
                problems.append(
                    f"{master.label}, which {sentinel.label} names, is not a master (a failover may be under way)"
                )
                continue
            self._sentinels.sort(key=lambda item: item is not sentinel)
            await refuse_wrong_mode(master, "sentinel", self._wiring.role)
            replicas = int((facts or {}).get("connected_slaves", 0) or 0)
            unseen = (f"what happens on the master's {replicas} replicas alone",) if replicas else ()
            identity = (("master", str(master.address)), ("server run", master.run_id))
            return Layout(shards=(master,), listening=(master,), identity=identity, unseen=unseen)
        raise Unreachable(f"{self._wiring.role} (Redis): no Sentinel leads to a master. {'; '.join(problems)}")

    def _master(self, address: Address) -> Node:
        return self._masters.setdefault(address, Node(self._wiring, address, name=f"master {address}"))

    async def close(self) -> None:
        """Close every connection."""
        for node in (*self._sentinels, *self._masters.values()):
            await node.close()


class ClusterDiscovery:
    """The nodes of a cluster. The URL has the addresses of some of them."""

    def __init__(self, wiring: Wiring, addresses: tuple[Address, ...]) -> None:
        self._wiring = wiring
        if wiring.index:
            raise StoreError(f"roles.{wiring.role}.url: a Redis Cluster has database 0 only. Remove the index.")
        self._seeds = [Node(wiring, address, name=f"node {address}") for address in addresses]
        self._nodes: dict[tuple[str, Address], Node] = {}
        self._checked = False

    async def read(self) -> Layout:
        """All nodes. Each primary is asked for its own view, because only it knows which of its slots move."""
        entries = await self._entries()
        hidden: list[str] = []
        unseen: list[str] = []
        shards, listening = [], []
        for entry in entries:
            if not entry.reachable:
                kind = "primary" if entry.slots else "replica"
                words = f"{kind} {entry.node_id[:8]} of the cluster is down"
                (hidden if entry.slots else unseen).append(words)
                continue
            node = self._node(entry)
            try:
                await node.connect()
            except StoreError as error:
                if entry.primary and entry.slots:
                    raise
                unseen.append(f"replica {entry.node_id[:8]} of the cluster: {error}")
                continue
            listening.append(node)
            if entry.primary and entry.slots:
                shards.append(node)
        for node in shards:
            own = [entry for entry in await own_view(node) if "myself" in entry.flags]
            if any(entry.moving for entry in own):
                hidden.append(f"{node.name} is moving slots to or from another node, so keys may be missed")
        if missing := gaps(item for node in shards for item in node.slots):
            hidden.append(f"no server of the cluster has the slots {', '.join(missing[:5])}")
        identity = [
            ("shards", "; ".join(f"{node.node_id} {node.slots}" for node in sorted(shards, key=lambda n: n.node_id)))
        ]
        identity += [(f"server run of {node.name}", node.run_id) for node in shards]
        return Layout(
            shards=tuple(shards),
            listening=tuple(listening),
            identity=tuple(identity),
            hidden=tuple(hidden),
            unseen=tuple(unseen),
        )

    async def _entries(self) -> list[ClusterEntry]:
        problems = []
        for node in (*self._seeds, *self._nodes.values()):
            try:
                if not self._checked:
                    await node.connect()
                    await refuse_wrong_mode(node, "cluster", self._wiring.role)
                    self._checked = True
                entries = await own_view(node)
            except Unreachable as error:
                problems.append(str(error))
                continue
            return [
                replace(entry, host=entry.host or node.address.host, port=entry.port or node.address.port)
                for entry in entries
            ]
        raise Unreachable(f"{self._wiring.role} (Redis): no node of the cluster answers. {'; '.join(problems[:3])}")

    def _node(self, entry: ClusterEntry) -> Node:
        host = entry.hostname if self._wiring.tls and entry.hostname else entry.host
        address = _mapped(self._wiring, host, entry.port)
        key = (entry.node_id, address)
        if key not in self._nodes:
            name = f"node {entry.node_id[:8]} at {address}"
            self._nodes[key] = Node(self._wiring, address, name=name, node_id=entry.node_id)
        node = self._nodes[key]
        node.slots, node.primary = entry.slots, entry.primary
        return node

    async def close(self) -> None:
        """Close every connection."""
        for node in (*self._seeds, *self._nodes.values()):
            await node.close()


def _mapped(wiring: Wiring, host: str, port: int) -> Address:
    """An address that a server announced, or what the profile puts in its place."""
    announced = f"{host}:{port}"
    known = wiring.config.addresses.get(announced) or wiring.config.addresses.get(host)
    if known is None:
        return Address(host, port)
    return parse_address(known, where=f"roles.{wiring.role}.addresses", default_port=port)
