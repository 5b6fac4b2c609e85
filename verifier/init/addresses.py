"""The store URLs that a user gives to `verifier init`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from verifier.init.sections import one_line


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """The URLs that were given; None: not given."""

    user_db: str | None = None
    chat_db: str | None = None
    mongo: str | None = None
    redis: str | None = None
    rabbitmq: str | None = None
    openim: str | None = None

    def by_role(self) -> dict[str, str]:
        """The URLs that were given, by the profile's role."""
        roles = {
            "user_db": self.user_db,
            "chat_db": self.chat_db,
            "chat_mongo": self.mongo,
            "cache_redis": self.redis,
            "broker": self.rabbitmq,
            "openim": self.openim,
        }
        return {role: url for role, url in roles.items() if url}


def without_password(url: str) -> str:
    """A URL without its secrets, on one line; `…` if it cannot be parsed reliably."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        user = parts.username or ""
    except ValueError:
        return "…"
    if not host or "@" in parts.path + parts.query + parts.fragment:
        return "…"
    credentials = f"{user}:…@" if parts.password is not None else f"{user}@" if user else ""
    return one_line(f"{parts.scheme}://{credentials}{host}{parts.path}")
