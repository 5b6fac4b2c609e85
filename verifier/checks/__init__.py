"""The shipped checks: one file per row of the doc. Importing this package registers them all."""

from verifier.checks import (
    access,
    broker,
    conversations,
    declared,
    groups,
    identity,
    keep,
    media,
    membership,
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
    "declared",
    "groups",
    "identity",
    "keep",
    "media",
    "membership",
    "messages",
    "meta",
    "realtime",
    "reports",
    "tables",
    "tokens",
    "users",
]
