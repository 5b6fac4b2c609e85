"""What a reading of a Redis relation could not read, and whether its keys may have moved meanwhile (rule R9).

SCAN returns every key that is there from its beginning to its end (https://redis.io/docs/latest/commands/scan/), but the server
has no count of a pattern's keys to compare with. What can hide keys is therefore looked for directly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from verifier.stores.errors import StoreError
from verifier.stores.protocols import Completeness
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.layout import Layout
from verifier.stores.redis.places import all_places


@dataclass(slots=True)
class Reading:
    """Counts of one reading.

    `refused`: keys that SCAN lists and the ACL lets nobody read. `moved`: keys that another server has. `unreadable`: values
    by reason. `wrapped`: keys with the pattern's text inside a serialiser's wrapping. `unread`: places, in words.
    """

    layout: Layout | None = None
    refused: int = 0
    moved: int = 0
    wrapped: int = 0
    namespaced: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    unread: tuple[str, ...] = ()


async def account(client: RedisClient, reading: Reading, *, everywhere: bool) -> Completeness:
    """What may be hidden from a reading that has ended, and what such a reading never covers."""
    hidden = []
    if reading.refused:
        hidden.append(f"{reading.refused} keys that SCAN lists cannot be read: the ACL user has no access to them")
    if reading.moved:
        hidden.append(f"{reading.moved} keys were being moved between nodes of the cluster")
    for what, count in reading.unreadable.items():
        hidden.append(f"{count} keys have {what}, which the relation's codec cannot read")
    if reading.wrapped and not everywhere:
        hidden.append(
            f"{reading.wrapped} keys have the pattern's text inside a serialiser's wrapping, so they are not read as records"
        )
    hidden += reading.unread if everywhere else ()
    try:
        now = await client.layout(fresh=True)
    except StoreError as error:
        return Completeness(hidden=(*hidden, f"the servers cannot be found again after the reading ({error})"))
    hidden += now.hidden
    before = reading.layout
    if before is not None:
        hidden += [text for text in before.hidden if text not in hidden]
        then = dict(before.identity)
        changed = [name for name, value in now.identity if then.get(name) != value]
        if changed:
            hidden.append(f"a failover, restart or move of slots during the reading ({', '.join(changed[:3])} changed)")
    return Completeness(hidden=tuple(hidden), unseen=(*now.unseen, *await _unseen(client, reading, everywhere)))


async def _unseen(client: RedisClient, reading: Reading, everywhere: bool) -> list[str]:
    unseen = []
    if not everywhere:
        try:
            places = await all_places(client)
        except StoreError as error:
            return [f"keys in other database indexes ({error})"]
        if places.others:
            indexes = sorted({place.index for place in places.others})
            unseen.append(f"keys in the database indexes {', '.join(map(str, indexes))}")
        unseen += places.unread
        if reading.namespaced:
            unseen.append(f"{reading.namespaced} keys with the pattern's text behind another prefix")
    return unseen
