"""Each error of a server is a sentence with a next step, of a kind that proofs know."""

from __future__ import annotations

import pytest
from redis import exceptions

from verifier.stores.errors import Denied, StoreError, Unreachable
from verifier.stores.redis.errors import Moved, translate

ERRORS: list[tuple[exceptions.RedisError, type[StoreError], str]] = [
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), Unreachable, "loads its data"),
    (exceptions.MasterDownError("Link with MASTER is down"), Unreachable, "lost its master"),
    (exceptions.ReadOnlyError("You can't write against a read only replica."), StoreError, "replica"),
    (exceptions.ClusterDownError("The cluster is down"), Unreachable, "cluster is down"),
    (exceptions.MovedError("1 127.0.0.1:1"), Moved, "mode = 'cluster'"),
    (exceptions.AskError("1 127.0.0.1:1"), Moved, "slots are being moved"),
    (exceptions.NoPermissionError("this user has no permissions"), Denied, "Grant it"),
    (exceptions.AuthenticationError("WRONGPASS"), Denied, "user or password"),
    (exceptions.ResponseError("NOAUTH Authentication required."), Denied, "requires a password"),
    (exceptions.ResponseError("DENIED Redis is running in protected mode"), Denied, "protected mode"),
    (exceptions.ResponseError("unknown command 'INFO', with args beginning with: 'hunter2'"), StoreError, "renamed"),
    (exceptions.ResponseError("MISCONF Redis is configured to save"), StoreError, "MISCONF"),
    (exceptions.ConnectionError("Error 111 connecting"), Unreachable, "Is it up"),
]


@pytest.mark.parametrize(("error", "kind", "text"), ERRORS)
def test_errors_are_sentences(error: exceptions.RedisError, kind: type[StoreError], text: str) -> None:
    """With the store's name; without the arguments of a command."""
    found = translate(error, "cache_redis (Redis)", "cache_redis")
    assert type(found) is kind
    assert text in str(found)
    assert str(found).startswith("cache_redis (Redis)")
    assert "hunter2" not in str(found)
