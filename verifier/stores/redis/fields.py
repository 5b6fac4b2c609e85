"""Fields of hashes that have a relation's word in their name, such as `presence` in `session:7`.

Redis keeps no time for a field. A field is new or changed where its mark (the hash of its key, name and value) is not among
those of an earlier reading.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import exceptions

from verifier.stores.errors import StoreError
from verifier.stores.protocols import MARK_BYTES
from verifier.stores.redis.client import RedisClient
from verifier.stores.redis.keys import KeyPattern, is_foreign, key_text, place_text
from verifier.stores.redis.places import Place, Places, scan

HASHES_MAX = 200_000
PAGES_MAX = 50
PAGE_FIELDS = 1_000


@dataclass(slots=True)
class Fields:
    """`found`: the name of each field by its mark. `limitations`: what could not be read, in words."""

    found: dict[bytes, str] = field(default_factory=dict)
    limitations: list[str] = field(default_factory=list)


def _named(word: str) -> re.Pattern[str]:
    """Matches names with this word: `presence`, `user:presence`, `PRESENCE_AT`, `lastPresence`; not `omnipresence`."""
    small, title, large = word.lower(), word.capitalize(), word.upper()
    alone = rf"(?<![A-Za-z0-9])(?:{small}|{title}|{large})(?![a-z0-9])"
    return re.compile(rf"{alone}|(?<=[a-z0-9]){title}(?![a-z0-9])")


async def read_fields(client: RedisClient, places: Places, pattern: KeyPattern, word: str) -> Fields:
    """The fields with `word` in their name of all hashes whose keys are neither of the pattern nor foreign."""
    fields = Fields()
    if not word:
        return fields
    named = _named(word)
    glob = "*" + "".join(f"[{letter.lower()}{letter.upper()}]" for letter in word) + "*"
    examined = refused = 0
    for place in (*places.own, *places.others):
        async for keys in scan(client, place, "*", kind="hash"):
            keys = [
                key
                for key in keys
                if pattern.find(key) is None and not is_foreign(client.foreign_keys, place.index, key_text(key))
            ]
            examined += len(keys)
            refused += await _pages(client, place, keys, glob, named, fields)
            if examined >= HASHES_MAX:
                fields.limitations.append(f"fields of hashes beyond the first {HASHES_MAX:,}")
                return fields
    if refused:
        fields.limitations.append(f"fields of {refused} hashes, to which the ACL user has no access")
    return fields


async def _pages(
    client: RedisClient, place: Place, keys: Sequence[bytes], glob: str, named: re.Pattern[str], fields: Fields
) -> int:
    """Read the matching fields of some hashes, and return how many hashes are refused."""
    cursors: dict[bytes, Any] = dict.fromkeys(keys, 0)
    refused = 0
    for _ in range(PAGES_MAX):
        if not cursors:
            break
        asked = list(cursors.items())
        pipeline = place.driver.pipeline(transaction=False)
        for key, cursor in asked:
            pipeline.hscan(key, cursor, match=glob, count=PAGE_FIELDS)
        answers = await place.node.run(
            "HSCAN",
            pipeline.execute(raise_on_error=False),
            count=len(asked),
            rows=len(asked),
            statement=f"HSCAN MATCH {glob}",
        )
        cursors = {}
        for (key, _), answer in zip(asked, answers, strict=True):
            if isinstance(answer, exceptions.NoPermissionError):
                refused += 1
            elif not isinstance(answer, Exception):  # else the key is gone, or has another type by now
                cursor, page = answer
                _keep(client, place, key, page, named, fields)
                if int(cursor):
                    cursors[key] = cursor
    if cursors:
        fields.limitations.append(f"fields of {len(cursors)} hashes beyond their first {PAGES_MAX * PAGE_FIELDS:,}")
    return refused


def _keep(
    client: RedisClient, place: Place, key: bytes, page: dict[Any, Any], named: re.Pattern[str], fields: Fields
) -> None:
    for name, value in page.items():
        text = key_text(name)
        if named.search(text):
            digest = hashlib.sha256()
            for part in (str(place.index).encode(), key, name, value):
                digest.update(len(part).to_bytes(8, "big") + part)
            where = place_text(place.index, client.index, key_text(key))
            fields.found[digest.digest()[:MARK_BYTES]] = f"field {text} of hash {where}"


async def fields_or_reason(client: RedisClient, places: Places, pattern: KeyPattern, word: str) -> Fields:
    """As `read_fields`; where the server refuses, the reason is a limitation."""
    try:
        return await read_fields(client, places, pattern, word)
    except StoreError as error:
        return Fields(limitations=[f"fields of other hashes ({error})"])
