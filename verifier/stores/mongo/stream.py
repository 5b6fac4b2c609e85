"""Change streams: the present place of a stream, and all events between two places.

A place is a resume token with a *fence*, the cluster's logical time just after the token was taken. A stream is read up to the
fence and not until nothing comes any more, because a quiet collection and a slow replica look alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import Timestamp
from pymongo import errors
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream

from verifier.stores.errors import ContinuityLost, Denied, StoreError, Unreachable
from verifier.stores.mongo.client import Document, MongoClient, operation_time
from verifier.stores.mongo.values import as_json, from_json

EVENTS_MAX = 100_000
AWAIT_MS = 200


class NoStream(Exception):
    """This collection has no change stream; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a collection's change stream. As text it is the position of a snapshot."""

    token: Mapping[str, Any]
    fence: Timestamp

    def to_text(self) -> str:
        """As extended JSON."""
        return as_json({"token": self.token, "fence": self.fence})

    @classmethod
    def from_text(cls, text: str) -> Place:
        """Inverse of `to_text`; raises ContinuityLost for anything else."""
        try:
            raw = from_json(text)
            return cls(dict(raw["token"]), raw["fence"])
        except (ValueError, TypeError, KeyError):
            raise ContinuityLost("the remembered position in the change stream cannot be read") from None


async def place_now(client: MongoClient, collection: str) -> Place:
    """The present place of a collection's stream. Raises NoStream where there is no stream, StoreError where the server
    fails."""
    try:
        stream = await client.watch(collection, max_await_time_ms=AWAIT_MS)
        async with stream:
            token = stream.resume_token
            if token is None:  # the first answer had an event
                await client.run(stream.try_next, translate=False)
                token = stream.resume_token
            if token is None:  # before MongoDB 4.0.7 only an event has a token
                raise NoStream("the server's change streams give no token before the first event")
    except errors.OperationFailure as error:
        raise NoStream(_why_not(client, error)) from None
    # The fence is taken after the token, so that an event in between is reported twice and not lost.
    fence = operation_time(await client.hello())
    if fence is None:
        raise NoStream("the server has no logical time")
    return Place(dict(token), fence)


def _why_not(client: MongoClient, error: errors.OperationFailure) -> str:
    if isinstance(error, errors.ExecutionTimeout):
        raise client.translate(error)
    if error.code == 13:
        return "the credential lacks the privilege changeStream (role read has it)"
    if error.code == 18:
        raise client.translate(error)
    if error.code == 40573:
        return "change streams need a replica set, and this server is standalone"
    return f"the server refuses a change stream here ({str(error).partition(', full error')[0].rstrip('.')})"


async def changes(
    client: MongoClient,
    collection: str,
    pipeline: Sequence[Mapping[str, Any]],
    *,
    start: Place,
    fence: Timestamp,
    options: Mapping[str, Any],
) -> AsyncIterator[Document]:
    """Every event of a collection after `start` and up to `fence`.

    The stream continues after an `invalidate` (the collection was dropped or renamed). Raises ContinuityLost where the history
    does not reach back to `start`, StoreError beyond EVENTS_MAX events, Unreachable where the stream does not catch up in time.
    """
    token: Mapping[str, Any] | None = start.token
    count = 0
    while token is not None:
        stream = await _resume(client, collection, pipeline, token, options)
        token = None
        async with stream:
            async for event in _events(client, stream, fence):
                if event["operationType"] == "invalidate":
                    token = event["_id"]
                    break
                count += 1
                if count > EVENTS_MAX:
                    raise StoreError(
                        f"{client.label}: more than {EVENTS_MAX} changes of {collection} since the last run. "
                        "Run more often, or take a new baseline."
                    )
                yield event


async def _resume(
    client: MongoClient,
    collection: str,
    pipeline: Sequence[Mapping[str, Any]],
    token: Mapping[str, Any],
    options: Mapping[str, Any],
) -> AsyncCollectionChangeStream[Document]:
    try:
        return await client.watch(collection, pipeline, start_after=token, max_await_time_ms=AWAIT_MS, **options)
    except errors.OperationFailure as error:
        raise _lost(client, error) from None


def _lost(client: MongoClient, error: errors.OperationFailure) -> StoreError:
    if isinstance(error, errors.ExecutionTimeout) or error.code in (13, 18):
        translated = client.translate(error)
        return translated if not isinstance(translated, Denied) else ContinuityLost(f"{translated}")
    text = str(error).partition(", full error")[0].rstrip(".")
    return ContinuityLost(
        f"{client.label}: the change stream cannot be resumed from the position of the last run ({text}). "
        "The oplog may be too short for the time between two runs, or the server was replaced. Take a new baseline."
    )


async def _events(
    client: MongoClient, stream: AsyncCollectionChangeStream[Document], fence: Timestamp
) -> AsyncIterator[Document]:
    """The stream's events up to the fence. Ends when the stream has certainly passed it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + client.config.operation_timeout_s
    majority_passed = False
    while stream.alive:
        try:
            event = await client.run(stream.try_next, translate=False)
        except errors.OperationFailure as error:
            raise _lost(client, error) from None
        if event is not None:
            if event["clusterTime"] > fence:
                return
            deadline = loop.time() + client.config.operation_timeout_s
            yield event
            continue
        token_time = time_of_token(stream.resume_token)
        if majority_passed or (token_time is not None and token_time >= fence):
            return
        # This is read before the next empty batch: only that batch proves that nothing is left.
        majority_passed = token_time is None and await _majority_passed(client, fence)
        if loop.time() > deadline:
            raise Unreachable(
                f"{client.label}: the change stream did not catch up within {client.config.operation_timeout_s:g} s. "
                "Do the secondaries replicate? Raise operation_timeout_s of the role if they are only slow."
            )


async def _majority_passed(client: MongoClient, fence: Timestamp) -> bool:
    last_write = (await client.hello()).get("lastWrite") or {}
    majority = (last_write.get("majorityOpTime") or {}).get("ts")
    return isinstance(majority, Timestamp) and majority >= fence


def time_of_token(token: Mapping[str, Any] | None) -> Timestamp | None:
    """The logical time in a MongoDB resume token (type byte 0x82, then the time); None for a token of another server."""
    data = (token or {}).get("_data")
    if not isinstance(data, str) or not data.startswith("82") or len(data) < 18:
        return None
    try:
        return Timestamp(int(data[2:10], 16), int(data[10:18], 16))
    except ValueError:
        return None
