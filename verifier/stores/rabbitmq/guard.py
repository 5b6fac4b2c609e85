"""The allow-list for RabbitMQ's management API: GET of paths that describe the broker.

Three GETs are not on it: `aliveness-test` declares a queue and publishes, `definitions` and `users` return password hashes.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_SEGMENT = r"[^/]+"
READ_PATHS = re.compile(
    rf"""
    /api/(?:
        overview | whoami | nodes | vhosts | permissions
      | users/{_SEGMENT}/(?:topic-)?permissions
      | (?:queues|exchanges)(?:/{_SEGMENT}){{0,2}}
      | (?:bindings|consumers|policies|operator-policies|shovels|federation-links)(?:/{_SEGMENT})?
      | parameters(?:/{_SEGMENT}){{0,2}}
    )
    """,
    re.VERBOSE,
)


def is_read_request(method: str, path: str) -> bool:
    """Whether a request only reads. `path` is percent-encoded and without the path prefix of `management_url`."""
    dots = any(unquote(part) in (".", "..") for part in path.split("/"))
    return method == "GET" and not dots and READ_PATHS.fullmatch(path) is not None
