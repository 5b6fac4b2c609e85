"""Which hosts may be loaded: loopback, and what the profile names. Everything else might be somebody's production."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit


def refusal(url: str, allowed: Collection[str]) -> str | None:
    """Why this URL must not be loaded, or None if it may. `allowed` holds `host` or `host:port`, matched exactly."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return f"{url!r} is not a URL. Give --host http://host:port of OpenIM's REST API."
    if parts.scheme not in ("http", "https") or not host:
        return f"{url!r} is not an HTTP URL. Give --host http://host:port of OpenIM's REST API."
    permitted = {item.lower() for item in allowed}
    if is_loopback(host) or host in permitted or (port is not None and f"{host}:{port}" in permitted):
        return None
    return (
        f"{host} is not on this machine, and the profile does not allow load on it. If it is a test system, "
        f'add it to the profile: [canary.options] load_hosts = ["{host}"]'
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its address; of names only `localhost` is, others may resolve anywhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
