"""Servers that one test module shares: a cluster with one replica, and a master behind Sentinel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.processes.deadline import Deadline
from fixtures.processes.rundir import RunDir
from fixtures.services.redis_cluster import RedisCluster
from fixtures.services.redis_sentinel import RedisSentinel


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three shards, the first with a replica."""
    run = RunDir.claim(tmp_path_factory.mktemp("cluster"))
    found = None
    try:
        found = RedisCluster.start(run, Deadline(60), primaries=3, replicas=1)
        yield found
    finally:
        if found is not None:
            found.stop()
        run.release()


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """A master with a replica, and a Sentinel."""
    run = RunDir.claim(tmp_path_factory.mktemp("sentinel"))
    found = None
    try:
        found = RedisSentinel.start(run, Deadline(60))
        yield found
    finally:
        if found is not None:
            found.stop()
        run.release()
