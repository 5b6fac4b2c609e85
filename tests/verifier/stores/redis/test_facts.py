"""The identity of a server process, also on services that hide a part of INFO."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from verifier.stores.redis.facts import NO_RUN_ID, node_facts, without_run_id

pytestmark = pytest.mark.anyio


def _node(server: dict[str, Any], name: str = "") -> Any:
    async def info(section: str) -> dict[str, Any]:
        return server if section == "server" else {"role": "master", "master_replid": server.get("replid", "")}

    return SimpleNamespace(info=info, name=name)


@pytest.mark.parametrize(
    ("server", "run", "said"),
    [
        ({"run_id": "r1"}, "r1", ()),
        ({"process_id": 7, "replid": "p1"}, "7/p1", ()),
        ({}, "", (NO_RUN_ID,)),
    ],
)
async def test_a_missing_run_id(server: dict[str, Any], run: str, said: tuple[str, ...]) -> None:
    """The process and the replication id stand for it; where nothing does, the coverage says so."""
    facts = await node_facts(_node(server))
    assert facts["server run"] == run
    assert without_run_id(facts) == said


async def test_each_node_has_its_own_facts() -> None:
    """So that a failover of one shard breaks continuity by its name."""
    facts = await node_facts(_node({"run_id": "r1"}, "node a"))
    assert facts == {"server run of node a": "r1", "role in replication of node a": "master"}
