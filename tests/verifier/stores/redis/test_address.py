"""Redis URLs are parsed without quoting any of their secrets."""

from __future__ import annotations

import pytest

from verifier.stores.errors import StoreError
from verifier.stores.redis.address import Address, parse_redis_url

WHERE = "roles.cache_redis.url"
SPECIAL = "p#a/s?s@w%rd:x"


@pytest.mark.parametrize(
    ("url", "address", "user", "password", "index"),
    [
        ("redis://h:1/3", Address("h", 1), None, None, 3),
        ("redis://h", Address("h", 6379), None, None, 0),
        ("redis://:pw@h", Address("h", 6379), None, "pw", 0),
        ("redis://u:p%40w@h?db=4", Address("h", 6379), "u", "p@w", 4),
        (f"redis://u:{SPECIAL}@h:7/1", Address("h", 7), "u", SPECIAL, 1),
        ("rediss://u:p@[::1]:7/1", Address("::1", 7), "u", "p", 1),
        ("unix://u:p@/run/redis.sock?db=2", Address(path="/run/redis.sock"), "u", "p", 2),
    ],
)
def test_urls(url: str, address: Address, user: str | None, password: str | None, index: int) -> None:
    """Address, credentials and index, also where the password has special characters that are not quoted."""
    found = parse_redis_url(url, where=WHERE)
    assert (found.addresses, found.user, found.password, found.index) == ((address,), user, password, index)


def test_several_addresses() -> None:
    """Nodes of a cluster, or Sentinels, with their default port."""
    found = parse_redis_url("redis://u:p@a,b:2/0", where=WHERE, default_port=26379)
    assert [str(item) for item in found.addresses] == ["a:26379", "b:2"]


@pytest.mark.parametrize(
    "url", ["http://u:secret@h", "redis://u:secret@h:port", "redis://u:sec/ret@h/x", "redis://h:p:secret", "secret"]
)
def test_errors_quote_nothing(url: str) -> None:
    """An error names the setting and no part of the URL."""
    with pytest.raises(StoreError) as raised:
        parse_redis_url(url, where=WHERE)
    assert WHERE in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "sec/ret" not in str(raised.value)
