"""The built-in relations: what a check can read without a mapping in the profile.

This is the only place that lists them. The pool makes their sources and clocks from it, the proofs infer from it which
clocks they compare, and `verifier explain` which credential they need. Their queries are those of the source.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from verifier.model.query import Rows
from verifier.profile.errors import NotMapped
from verifier.profile.models import Profile
from verifier.profile.relations import ColumnType
from verifier.profile.roles import RedisRole
from verifier.stores.builtin.statements import EarlierRuns
from verifier.stores.protocols import OrderedSource, Source
from verifier.stores.statement_log import StatementLog

OPENIM, OPENIM_MONGO = "openim", "openim_mongo"


class Pool(Protocol):
    """What the sources of built-in relations use of the pool of stores."""

    profile: Profile
    media_log: StatementLog
    earlier: EarlierRuns
    began_s: float

    async def get(self, role: str) -> Any:
        """The connected store of a role."""

    def statement_logs(self) -> dict[str, StatementLog]:
        """The statement log of each store that this run has reached."""


Make = Callable[[Pool, "BuiltIn", Rows], Awaitable[Source]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltIn:
    """One built-in relation.

    `role`: whose store holds it and whose clock dates it; None for the verifier itself. `queue`: the queue of the profile
    that it reads, whose role counts instead. `columns`: logical columns with their types, the key's included.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, ColumnType]
    make: Make = field(repr=False)
    role: str | None = None
    queue: str | None = None

    def role_in(self, profile: Profile) -> str | None:
        """The role of the profile that holds it. Raises NotMapped where its queue is not mapped."""
        return profile.queue(self.queue).role if self.queue else self.role


def role_of(relation: str, profile: Profile) -> str | None:
    """The role that holds a relation, built in or mapped; None for the verifier's own relations, media hosts and what is
    not mapped."""
    built_in = BUILT_IN.get(relation)
    if built_in is not None:
        with suppress(NotMapped):
            return built_in.role_in(profile)
        return None
    mapped = profile.relations.get(relation)
    return mapped.role if mapped else None


# The sources are imported when they are made: most of them need a driver.


async def _rest(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.source import OpenIMSource

    return OpenIMSource(await pool.get(OPENIM), relation.name, relation.key)


async def _collection(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.records import collection_source

    return _ours(pool, collection_source(await pool.get(OPENIM_MONGO), rows, relation.columns))


async def _documents(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.records import collection_source

    return _ours(pool, collection_source(await pool.get(OPENIM_MONGO), rows, relation.columns, collection="msg"))


async def _messages(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.records import MessageSource

    return _ours(pool, MessageSource(await pool.get(OPENIM_MONGO), rows))


async def _blocks(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.records import BlockSource

    return _ours(pool, BlockSource(await pool.get(OPENIM_MONGO), rows))


async def _media_urls(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.records import MediaUrlSource

    return _ours(pool, MediaUrlSource(await pool.get(OPENIM_MONGO), rows))


def _ours(pool: Pool, source: OrderedSource) -> Source:
    """The records that are this platform's, where other applications use the same OpenIM."""
    from verifier.stores.openim.ours import Ownership, OwnRecords

    ownership = Ownership.of(pool.profile.roles.openim)
    return OwnRecords(source, ownership.has) if ownership else source


async def _pairs(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.pairs import PairSource

    return _ours(pool, PairSource(await pool.get(OPENIM_MONGO), rows))


async def _message_ids(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.message_ids import MessageIdSource

    return _ours(pool, MessageIdSource(await pool.get(OPENIM_MONGO), rows))


async def _unreadable(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.unreadable import UnreadableSource

    return UnreadableSource(await pool.get(OPENIM), relation.name, relation.key)


async def _shared_chats(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.openim.pairs import SharedChatSource

    return SharedChatSource(await pool.get(OPENIM))


async def _media_head(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.builtin.media import MediaSource

    return MediaSource(pool.profile.media, pool.media_log)


async def _push_tap(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    queue = pool.profile.queue("push_tap")
    source: Source = (await pool.get(queue.role)).tap(queue, pool.profile.queues.get("notification_push"))
    return source


async def _statements(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.builtin.statements import StatementsSource

    def is_redis(role: str) -> bool:
        return isinstance(pool.profile.roles.get(role), RedisRole)

    return StatementsSource(pool.statement_logs, pool.profile.budget, pool.began_s, pool.earlier, is_redis)


async def _settings(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.builtin.settings import SettingsSource

    return SettingsSource(pool.profile)


async def _canary_messages(pool: Pool, relation: BuiltIn, rows: Rows) -> Source:
    from verifier.stores.builtin.canary_messages import CanaryMessages

    return CanaryMessages(pool.profile)


def _openim(relation: str, /, *key: str, **columns: ColumnType) -> BuiltIn:
    return BuiltIn(name=relation, role=OPENIM, key=key, columns=_texts(*key) | columns, make=_rest)


def _stored(relation: str, make: Make, /, *key: str, **columns: ColumnType) -> BuiltIn:
    return BuiltIn(name=relation, role=OPENIM_MONGO, key=key, columns=_texts(*key) | columns, make=make)


def _texts(*names: str) -> dict[str, ColumnType]:
    return dict.fromkeys(names, "text")


_ALL = (
    # OpenIM's REST API.
    _openim("openim.accounts", "user_id"),
    _openim("openim.users", "user_id", nickname="text", face_url="text", ex="text", level="integer"),
    _openim(
        "openim.groups", "group_id",
        name="text", owner_id="text", status="integer", member_count="integer", ex="text",
    ),
    _openim("openim.tokens", "token", state="integer"),
    _openim("openim.conversation_ids", "owner_id", "conversation_id"),
    _openim("openim.conversations", "owner_id", "conversation_id", pinned="boolean", peer_id="text"),
    BuiltIn(name="openim.messages", role=OPENIM, key=("place",), make=_unreadable, columns=_texts("place")),
    BuiltIn(
        name="openim.shared_chats", role=OPENIM, key=("user_id", "conversation_id"), make=_shared_chats,
        columns=_texts("user_id", "conversation_id", "pair", "other"),
    ),
    _openim("openim.friends", "owner_id", "friend_id"),
    _openim("openim.group_members", "group_id", "user_id", level="integer", in_openim_since="timestamp"),
    _openim("openim.group_owners", "group_id", "user_id", level="integer", in_openim_since="timestamp"),
    _openim("openim.joined_groups", "member_id", "group_id"),
    _openim("openim.canary_messages", "place", digest="text", status="integer", content_type="integer"),
    # OpenIM's own MongoDB; `record` is the `_id`, the other names are OpenIM's.
    _stored("openim_mongo.seq", _collection, "record", conversation_id="text", max_seq="integer", min_seq="integer"),
    _stored(
        "openim_mongo.seq_user", _collection, "record",
        conversation_id="text", user_id="text", max_seq="integer", min_seq="integer", read_seq="integer",
    ),
    _stored(
        "openim_mongo.conversation", _collection, "record",
        owner_user_id="text", conversation_id="text", user_id="text", group_id="text", conversation_type="integer",
    ),
    _stored(
        "openim_mongo.group", _collection, "record",
        group_id="text", group_name="text", creator_user_id="text", ex="text", status="integer",
    ),
    _stored("openim_mongo.group_member", _collection, "record", group_id="text", user_id="text", role_level="integer"),
    _stored("openim_mongo.msg_document", _documents, "record", doc_id="text"),
    _stored(
        "openim_mongo.msg_block", _blocks, "doc_id",
        conversation_id="text", number="integer", lowest="integer", highest="integer", filled="integer", newest_at="timestamp",
        before="text",
    ),
    _stored(
        "openim_mongo.msg", _messages, "doc_id", "slot",
        slot="integer", place="text", conversation_id="text", seq="integer", sender_id="text", sent_at="timestamp",
        content_type="integer", status="integer", digest="text", is_text="boolean", ex="text",
    ),
    _stored(
        "openim_mongo.msg_id", _message_ids, "place", "message_id",
        conversation_id="text", seq="integer", status="integer",
    ),
    _stored("openim_mongo.msg_pair", _pairs, "conversation_id", "pair"),
    _stored(
        "openim_mongo.msg_media", _media_urls, "doc_id", "slot", "number",
        slot="integer", number="integer", place="text", url="text", bare="text",
    ),
    # Everything else.
    BuiltIn(name="media.head", key=("url",), columns=_texts("url", "state"), make=_media_head),
    BuiltIn(
        name="broker.push_tap", queue="push_tap", key=("delivery",), make=_push_tap,
        columns={
            **_texts("delivery", "exchange", "routing_key", "type", "unread"), "body": "json", "headers": "json", "fields": "json",
        },
    ),
    BuiltIn(
        name="verifier.statements", key=("role",), make=_statements,
        columns={"role": "text", "sent": "integer", "refused": "integer", "writes": "json", "over": "text", "age_s": "integer"},
    ),
    BuiltIn(
        name="verifier.settings", key=("setting",), make=_settings,
        columns={"setting": "text", "is_default": "boolean"},
    ),
    BuiltIn(
        name="verifier.canary_messages", key=("place",), make=_canary_messages,
        columns={
            **_texts("place", "marker", "conversation_id", "digest", "journal"), "seq": "integer", "sent_at": "timestamp",
        },
    ),
)  # fmt: skip

BUILT_IN: Mapping[str, BuiltIn] = {relation.name: relation for relation in _ALL}
"""By name. A profile cannot redefine them."""
