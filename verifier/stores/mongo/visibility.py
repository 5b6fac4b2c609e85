"""What may hide documents of a collection: a view that selects, or a secondary that is behind.

MongoDB has no row-level security; a view may depend on the user by `$$USER_ROLES`
(https://www.mongodb.com/docs/manual/core/views/#user-roles-system-variable).
"""

from __future__ import annotations

from datetime import datetime

from verifier.stores.errors import Denied
from verifier.stores.mongo.client import MongoClient
from verifier.stores.mongo.values import as_json

BEHIND_MAX_S = 15.0
"""An idle primary writes a no-op every 10 s, so a secondary without a write for longer is behind
(https://www.mongodb.com/docs/manual/reference/parameters/#mongodb-parameter-param.periodicNoopIntervalSecs)."""
_CUTS = ("$$USER_ROLES", "$limit", "$skip", "$sample")


async def what_is_hidden(client: MongoClient, collection: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may hide documents from this connection, and what reading never covers here; see `Completeness`."""
    hidden, unseen = await _view(client, collection)
    behind_s = await _behind(client)
    if behind_s is not None and behind_s > BEHIND_MAX_S:
        hidden += (f"this server is a secondary whose last write is {behind_s:.0f} s old; connect to the primary",)
    elif behind_s is not None:
        unseen += ("writes of the last seconds, because a secondary is read",)
    return hidden, unseen


async def _view(client: MongoClient, collection: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    command = {"listCollections": 1, "filter": {"name": collection, "type": "view"}}
    try:
        answer = await client.command(command, database=client.config.database)
    except Denied:
        return (), (f"whether {collection} is a view that leaves documents out",)
    for entry in answer["cursor"]["firstBatch"]:
        if entry.get("type") != "view":
            continue
        pipeline = as_json((entry.get("options") or {}).get("pipeline") or [])
        if found := next((name for name in _CUTS if name in pipeline), None):
            return (f"view {collection} shows only some documents ({found}); map the collection below it",), ()
        return (), (f"documents that view {collection} leaves out",)
    return (), ()


async def _behind(client: MongoClient) -> float | None:
    """The age of the last write that a secondary has, in seconds; None for a primary and a standalone server."""
    hello = await client.hello()
    if not hello.get("secondary"):
        return None
    now, last = hello.get("localTime"), (hello.get("lastWrite") or {}).get("lastWriteDate")
    return (now - last).total_seconds() if isinstance(now, datetime) and isinstance(last, datetime) else 0.0
