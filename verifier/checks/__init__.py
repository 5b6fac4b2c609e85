"""The shipped checks: one file per row of the doc. Importing this package registers them all."""

from verifier.checks import (
    access,
    broker,
    conversations,
    groups,
    identity,
    keep,
    media,
    messages,
    meta,
    realtime,
    reports,
    tables,
    tokens,
    users,
)

__all__ = [
    "access",
    "broker",
    "conversations",
    "groups",
    "identity",
    "keep",
    "media",
    "messages",
    "meta",
    "realtime",
    "reports",
    "tables",
    "tokens",
    "users",
]
