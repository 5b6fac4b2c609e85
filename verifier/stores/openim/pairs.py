"""Single chats whose id fits two pairs of users [F55]: found in OpenIM's messages, or by its REST API.

An id `si_a_b_c` is that of `a` and `b_c`, and of `a_b` and `c`. Ids without `_` are not concerned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.model.query import Rows
from verifier.stores.errors import PartialAnswer
from verifier.stores.mongo.client import Document, MongoClient
from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.conversation_ids import Pair, conversation_of, is_ambiguous, pair_text, pairs_of
from verifier.stores.openim.records import MessageSource, parts_of
from verifier.stores.openim.source import OpenIMSource


class PairSource(MessageSource):
    """One row per pair of sender and receiver in each ambiguous single chat. A chat of one pair may have a row per document,
    which are equal."""

    slots: Mapping[str, int] = {f"msgs.msg.{name}": 1 for name in ("seq", "send_id", "recv_id")}

    def __init__(self, client: MongoClient, rows: Rows) -> None:
        super().__init__(client, rows)
        self.key = ("conversation_id", "pair")

    def _rows_of(self, documents: Sequence[Document], also: str | None = None) -> list[Row]:
        return [row for document in documents for row in _pairs(document)]


def _pairs(document: Document) -> Iterator[Row]:
    conversation, number, slots = parts_of(document)
    if number is None or not is_ambiguous(conversation):
        return
    found = {(str(item.get("send_id") or ""), str(item.get("recv_id") or "")) for _, item in slots if item}
    # Another sender, such as an administrator's notice, does not make the chat that of another pair.
    for text in sorted({pair_text(pair) for pair in found if conversation_of(pair) == conversation}):
        yield {"conversation_id": conversation, "pair": text}


class SharedChatSource:
    """The chats of a user that another pair has too, by OpenIM's REST API. Looked up by user only."""

    key: tuple[str, ...] = ("user_id", "conversation_id")

    def __init__(self, client: OpenIMClient) -> None:
        self._accounts = OpenIMSource(client, "openim.accounts", ("user_id",))
        self._chats = OpenIMSource(client, "openim.conversations", ("owner_id", "conversation_id"))
        self.label = f"openim.shared_chats ({client.role}: REST)"

    @property
    def queries(self) -> tuple[str, ...]:
        """The routes that are requested."""
        return (*self._accounts.queries, *self._chats.queries)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Nothing: OpenIM lists chats only by user."""
        return
        yield ()

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The shared chats of these users. Only users are asked for whose id begins or ends with another user's id."""
        try:
            return await self._look_up(list(dict.fromkeys(str(value) for value in values if "_" in str(value))))
        except PartialAnswer as error:
            # What is unanswered concerns other users than those asked for, so nothing is known of any of these.
            raise PartialAnswer(str(error), [], list(values)) from None

    async def _look_up(self, users: Sequence[str]) -> list[Row]:
        parts = {user: _parts(user) for user in users}
        registered = await self._registered({part for found in parts.values() for part in found})
        doubtful = [user for user in users if parts[user] & registered]
        return [row for user in doubtful for row in await self._shared(user)]

    async def _registered(self, ids: set[str]) -> set[str]:
        found = await self._accounts.lookup("user_id", sorted(ids)) if ids else ()
        return {str(row["user_id"]) for row in found}

    async def _shared(self, user: str) -> list[Row]:
        shared: list[Row] = []
        for row in await self._chats.lookup("owner_id", [user]):
            name, own = str(row["conversation_id"]), (user, str(row["peer_id"] or ""))
            if not is_ambiguous(name) or conversation_of(own) != name:
                continue
            others = [pair for pair in pairs_of(name) if pair_text(pair) != pair_text(own)]
            shared += [
                {"user_id": user, "conversation_id": name, "pair": pair_text(own), "other": pair_text(pair)}
                for pair in others
                if await self._has(pair, name)
            ]
        return shared

    async def _has(self, pair: Pair, name: str) -> bool:
        """Whether both users exist and one of them has this chat with the other."""
        if await self._registered(set(pair)) != set(pair):
            return False
        chats = await self._chats.lookup("owner_id", list(pair))
        return any(
            row["conversation_id"] == name and pair_text((str(row["owner_id"]), str(row["peer_id"]))) == pair_text(pair)
            for row in chats
        )


def _parts(user: str) -> set[str]:
    """What an id with `_` begins or ends with, at each `_`."""
    names = user.split("_")
    cuts = range(1, len(names))
    found = {"_".join(names[:at]) for at in cuts} | {"_".join(names[at:]) for at in cuts}
    return found - {""}
