"""One mechanism of Redis at a time that hides or loses keys: no check holds over a breach, none accuses what is healthy (R9, R10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from fixtures.processes.proxy import Mode, Proxy
from fixtures.services.base import split_url
from fixtures.services.redis import VERIFIER_RULES
from fixtures.services.redis_cluster import RedisCluster
from fixtures.services.redis_sentinel import MASTER_NAME, RedisSentinel
from fixtures.stack.stack import Stack
from tests.verifier.stores.hiding import BREACHES, Edit, HidingWorld, hiding_world, put, token_of
from tests.verifier.stores.redis.conftest import cluster, sentinel

__all__ = ["cluster", "sentinel"]
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

TOKENS = {check: BREACHES[check] for check in ("TOK-01", "TOK-02", "TOK-05")}
HIDDEN = ("eve", "bob", "alice")
Act = Callable[[Any], Any]


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HidingWorld]:
    """The servers and the world of the whole matrix."""
    with hiding_world(stack, tmp_path_factory.mktemp("matrix"), "matrix_redis") as opened:
        yield opened


def java(key: str) -> bytes:
    """A key as Spring's default serialiser writes it."""
    return b"\xac\xed\x00\x05t" + len(key).to_bytes(2, "big") + key.encode()


def renamed(client: Any, name: Callable[[str], Any], users: tuple[str, ...] = HIDDEN) -> None:
    """Keep the tokens of these users under other keys."""
    for user in users:
        client.rename(f"im:token:{user}", name(user))


def as_hashes(client: Any) -> None:
    """Keep each token in a field of a hash under its key."""
    for user in HIDDEN:
        token = client.get(f"im:token:{user}")
        client.delete(f"im:token:{user}")
        client.hset(f"im:token:{user}", mapping={"token": token})


def values(change: Callable[[bytes], bytes]) -> Act:
    """Store each token in another form."""

    def act(client: Any) -> None:
        for user in HIDDEN:
            client.set(f"im:token:{user}", change(client.get(f"im:token:{user}")), ex=3600)

    return act


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """`act`: switches it on, with a client of all rights. `harmless`: hides nothing."""

    name: str
    act: Act = lambda _client: None
    edit: Edit = field(default_factory=put)
    harmless: bool = False


MECHANISMS = (
    Mechanism(name="none", harmless=True),
    Mechanism(name="serialised keys", act=lambda client: renamed(client, lambda user: java(f"im:token:{user}"))),
    Mechanism(name="field of a hash", act=as_hashes),
    Mechanism(name="quoted values", act=values(lambda token: b'"' + token + b'"')),
    Mechanism(name="serialised values", act=values(lambda token: java(token.decode()))),
    Mechanism(name="values that are no tokens", act=values(lambda token: b"\x00\x01" + token[::-1])),
    Mechanism(name="bytes beside them", harmless=True, act=lambda client: client.set(b"im:token:\xff\xfe", "x", px=1)),
    Mechanism(name="expired key beside them", harmless=True, act=lambda client: client.set("im:token:dave", token_of("dave"), px=1)),
)  # fmt: skip


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda item: item.name)
def test_what_hides_keys(world: HidingWorld, mechanism: Mechanism) -> None:
    """Each check is violated or inconclusive; where nothing is hidden, each breach is found."""
    world.tokens()
    with redis.Redis.from_url(world.redis.admin) as client:
        try:
            mechanism.act(client)
            result = world.judge(mechanism.edit, only=tuple(TOKENS))
        finally:
            world.tokens(client)
    world.demand(mechanism.name, result, found=mechanism.harmless, breaches=TOKENS)


RULES = {
    "some keys": ["%R~im:token:a*"],
    "no keys": [],
    "no GET": ["%R~*", "-get", "-mget"],
    "no SCAN": ["%R~*", "-scan"],
    "no TTL": ["%R~*", "-ttl", "-pttl"],
    "no TYPE": ["%R~*", "-type"],
    "no INFO": ["%R~*", "-info"],
    "read patterns": ["%R~*"],
}


@pytest.mark.parametrize("name", RULES)
def test_what_a_user_may_not_read(world: HidingWorld, name: str) -> None:
    """A user with fewer rights sees fewer keys or no values."""
    world.tokens()
    rules = [rule for rule in VERIFIER_RULES if rule != "~*"]
    where = urlsplit(world.redis.verifier)
    url = where._replace(netloc=f"limited:secret@{where.hostname}:{where.port}").geturl()
    with redis.Redis.from_url(world.redis.admin) as client:
        client.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">secret", *rules, *RULES[name])
        try:
            result = world.judge(put(roles__cache_redis__url=url), only=tuple(TOKENS))
        finally:
            client.execute_command("ACL", "DELUSER", "limited")
    world.demand(f"user: {name}", result, found=name == "read patterns", breaches=TOKENS)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG, Mode.RESET, Mode.CUT, Mode.SLOW], ids=lambda mode: mode.value)
def test_a_server_that_fails(world: HidingWorld, mode: Mode) -> None:
    """Every check is inconclusive or finds its breach; a slow server changes nothing."""
    world.tokens()
    url = world.redis.verifier
    with Proxy(*split_url(url, 6379)) as proxy:
        proxy.set_mode(mode, delay_s=0.005, cut_after_bytes=700)
        behind = url.replace(f":{split_url(url, 6379)[1]}/", f":{proxy.port}/")
        result = world.judge(put(roles__cache_redis__url=behind), only=tuple(TOKENS))
    world.demand(f"server: {mode.value}", result, found=mode is Mode.SLOW, breaches=TOKENS)


@pytest.mark.parametrize("mode", ["cluster", "single", "replica"])
def test_a_cluster(world: HidingWorld, cluster: RedisCluster, mode: str) -> None:
    """As a cluster everything is found; one node of it is not taken for the whole, whichever keys it has."""
    writer = cluster.writer()
    world.tokens(writer)
    nodes = [cluster.nodes[-1]] if mode == "replica" else cluster.primaries
    for number, node in enumerate(nodes[: 1 if mode == "cluster" else None]):
        login = cluster.url.partition("//")[2].partition("@")[0]
        url = cluster.url if mode == "cluster" else f"redis://{login}@127.0.0.1:{node.port}/0"
        edit = put(roles__cache_redis__url=url, roles__cache_redis__mode=mode)
        result = world.judge(edit, only=tuple(TOKENS))
        world.demand(f"cluster as {mode}, node {number}", result, found=mode == "cluster", breaches=TOKENS)


@pytest.mark.parametrize("mode", ["sentinel", "master", "replica as single", "replica"])
def test_behind_sentinel(world: HidingWorld, sentinel: RedisSentinel, mode: str) -> None:
    """The master is found; a replica is read only if that is meant."""
    master = sentinel.master_port
    other = next(port for port in sentinel.ports if port != master)
    with sentinel.client(master) as client:
        world.tokens(client)
        client.wait(1, 2000)
    login = sentinel.url.partition("//")[2].partition("@")[0]
    changes: dict[str, Any] = {
        "roles__cache_redis__url": f"redis://{login}@127.0.0.1:{master if mode == 'master' else other}/0"
    }
    if mode == "sentinel":
        changes = {
            "roles__cache_redis__url": sentinel.url, "roles__cache_redis__mode": "sentinel",
            "roles__cache_redis__sentinel_master": MASTER_NAME,
            "roles__cache_redis__sentinel_password": sentinel.sentinel_password,
        }  # fmt: skip
    elif mode == "replica":
        changes["roles__cache_redis__mode"] = "replica"
    result = world.judge(put(**changes), only=tuple(TOKENS))
    world.demand(f"Sentinel: {mode}", result, found=mode in ("sentinel", "master"), breaches=TOKENS)
