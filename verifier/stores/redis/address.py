"""Redis URLs: addresses, credentials and options. No part of a URL that may hold a secret is in an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from redis.asyncio.connection import parse_url

from verifier.stores.errors import StoreError

DEFAULT_PORTS = {"single": 6379, "replica": 6379, "cluster": 6379, "sentinel": 26379}
_DRIVERS_OWN = (
    "connection_class",
    "host",
    "port",
    "path",
    "username",
    "password",
    "db",
    "client_name",
    "max_connections",
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where one server listens: a host and port, or a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed URL: `redis://user:password@host:port,host:port/index?option=value`, also `rediss://` and `unix://`."""

    addresses: tuple[Address, ...]
    user: str | None
    password: str | None
    index: int
    tls: bool
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_redis_url(url: str, *, where: str, default_port: int = 6379) -> RedisUrl:
    """Parse a URL. `where` names the setting for messages.

    The credentials end at the last `@` before the options, so that a password with unquoted special characters works too.
    Raises StoreError, which quotes nothing of the URL.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("redis", "rediss", "unix"):
        raise StoreError(f"{where} is not a Redis URL: it must begin with redis://, rediss:// or unix://.")
    credentials, _, place = rest.rpartition("@")
    user, separator, password = credentials.partition(":")
    location, _, query = place.partition("?")
    try:
        options: dict[str, Any] = dict(parse_url(f"redis://host/?{query}"))
    except ValueError as error:
        raise StoreError(f"{where}: {str(error).rstrip('.')}. Correct the options after the question mark.") from None
    index = options.get("db")
    if scheme == "unix":
        addresses: tuple[Address, ...] = (Address(path=unquote(location)),)
    else:
        hosts, _, path = location.partition("/")
        addresses = tuple(parse_address(item, where=where, default_port=default_port) for item in hosts.split(","))
        if index is None and path.strip("/"):
            index = _number(path.strip("/"), f"{where}: the database index after the last / must be a number.")
    return RedisUrl(
        addresses=addresses,
        user=unquote(user) or None,
        password=unquote(password) if separator else None,
        index=int(index or 0),
        tls=scheme == "rediss",
        options={name: value for name, value in options.items() if name not in _DRIVERS_OWN},
    )


def parse_address(text: str, *, where: str, default_port: int = 6379) -> Address:
    """`host`, `host:port` or `[IPv6]:port`."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    problem = f"{where}: the port of an address must be a number. Percent-encode special characters of the password."
    return Address(unquote(host) or "localhost", _number(port, problem) if port else default_port)


def _number(text: str, problem: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise StoreError(problem)
    return int(text)
