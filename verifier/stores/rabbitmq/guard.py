"""The allow-list for RabbitMQ's management API: GET, and only of what describes the broker.

Not on it although they are GETs: `aliveness-test` (declares a queue and publishes), `definitions` and `users` (password hashes).
"""

from __future__ import annotations

import re

_SEGMENT = r"[^/]+"
READ_PATHS = re.compile(
    rf"""
    /api/(?:
        overview | whoami | nodes | vhosts | permissions
      | users/{_SEGMENT}/permissions
      | (?:queues|exchanges)(?:/{_SEGMENT}){{0,2}}
      | (?:bindings|consumers|policies|operator-policies|shovels|federation-links)(?:/{_SEGMENT})?
      | parameters(?:/{_SEGMENT}){{0,2}}
    )
    """,
    re.VERBOSE,
)


def is_read_request(method: str, path: str) -> bool:
    """Whether a request only reads; `path` is the percent-encoded one, without a prefix of the profile's URL."""
    return method == "GET" and ".." not in path and READ_PATHS.fullmatch(path) is not None
