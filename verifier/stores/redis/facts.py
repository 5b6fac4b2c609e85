"""What identifies the server processes of a role, as the continuity of an absence proof."""

from __future__ import annotations

from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.node import Node

NO_RUN_ID = "a restart of the server: INFO does not name the run id of its process"


async def node_facts(node: Node) -> dict[str, str]:
    """The run of a server's process, and its part in replication. Their names end in the node's name, if it has one.

    A managed service may hide `run_id`; the process id and the replication id then stand for it.
    """
    facts, replication = await node.info("server"), await node.info("replication")
    run = facts.get("run_id") or "/".join(
        str(part) for part in (facts.get("process_id"), replication.get("master_replid")) if part
    )
    of = f" of {node.name}" if node.name else ""
    return {f"server run{of}": str(run), f"role in replication{of}": str(replication.get("role", "?"))}


async def server_facts(client: RedisClient, nodes: tuple[Node, ...]) -> dict[str, str]:
    """The facts of all these servers, and which servers have which keys."""
    found: dict[str, str] = {}
    for node in nodes:
        found |= await node_facts(node)
    if client.config.mode == "cluster":
        layout = await client.layout(fresh=True)
        found["shards of the cluster"] = dict(layout.identity)["shards"]
    elif client.config.mode == "sentinel":
        found["master that Sentinel names"] = str(nodes[0].address)
    return found


def without_run_id(continuity: dict[str, str]) -> tuple[str, ...]:
    """The limitation where some server does not tell the id of its process."""
    unknown = any(not value for name, value in continuity.items() if name.startswith("server run"))
    return (NO_RUN_ID,) if unknown else ()
