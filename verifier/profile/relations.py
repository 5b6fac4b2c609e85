"""Relations, channels and queues: logical names for the objects of a stack, mapped to the real ones."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from verifier.profile.section import Section
from verifier.profile.zones import zone_of

ColumnType = Literal["text", "integer", "boolean", "timestamp", "epoch_s", "epoch_ms", "json"]


class Column(Section):
    """`columns.NAME`: where a logical column comes from. `columns.NAME = "source"` is short for `{ column = "source" }`."""

    column: str = Field(
        description="PostgreSQL: a column or an SQL expression. MongoDB: a field, `a.b` within documents. Redis: a "
        "`{placeholder}` of the key, a field of the value, or one of `@key`, `@ttl_ms` (NULL without expiry), `@idle_s`, "
        "`@type`, `@value`, `@token`, `@claim.NAME`, `@header.NAME`",
        examples=["status = 'active'"],
    )
    type: ColumnType = Field(
        default="text",
        description="How to read what is stored. `epoch_s` and `epoch_ms` are times kept as numbers",
        examples=["timestamp"],
    )
    true_values: tuple[str | int, ...] = Field(
        default=(),
        description="Type `boolean`: the stored values that mean true, where they are not true or false, 1 or 0, yes or no, on "
        "or off. Every other value is then false",
        examples=[["active", "trial"]],
    )
    empty_means: Literal["never", "expired"] | None = Field(
        default=None,
        description="For a time at which something ends: what NULL, 0, a negative number and an empty text mean. `never`: it does "
        "not end. `expired`: it has ended. Column `expires_at` has the default `never`",
        examples=["expired"],
    )
    sensitive: bool = Field(
        default=False,
        description="Never show the values: in findings, evidence and logs they are hidden",
        examples=[True],
    )
    zone: str | None = Field(
        default=None,
        description="PostgreSQL: the zone of a column of type `timestamp` (without time zone). `timestamp_zone` of the role if "
        "not set",
        examples=["Asia/Shanghai"],
    )

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            zone_of(value)
        return value


HOME = "@"
"""Between a relation's name and the number of one of its homes: `messages@1`."""


class Relation(Section):
    """`[relations.NAME]`: one logical table. [The relations](#the-relations) lists the names that checks use, with their columns.

    Exactly one of `table`, `select` (PostgreSQL), `collection` (MongoDB) and `keys` (Redis) says where the records are.
    """

    role: str = Field(description="The role whose store has the records", examples=["user_db"])
    table: str | None = Field(
        default=None, description="PostgreSQL table or view, with its schema", examples=["public.users"]
    )
    select: str | None = Field(
        default=None,
        description="SELECT whose result is the relation. It has no counters of its own: `watches` names the tables whose "
        "counters prove absence",
        examples=["SELECT id, name FROM a JOIN b USING (id)"],
    )
    watches: tuple[str, ...] = Field(
        default=(),
        description="The tables that a `select`, or a view in `table`, reads. Absence is proven by their counters; without "
        "this setting a check of absence is inconclusive. A table in which the content itself is stored is better watched as a "
        "home of its own, because then each record can be named",
        examples=[["public.messages", "public.bodies"]],
    )
    collection: str | None = Field(default=None, description="MongoDB collection", examples=["messages"])
    keys: str | None = Field(
        default=None, description="Pattern of Redis keys, with `{placeholders}`", examples=["im:token:{user_id}"]
    )
    codec: Literal["text", "json", "jwt", "hash"] = Field(
        default="text", description="How the values of Redis keys are read", examples=["json"]
    )
    jwt_path: str | None = Field(
        default=None, description="Codec `json`: path within the value to the token", examples=["data.jwt"]
    )
    key: tuple[str, ...] = Field(
        min_length=1,
        description="The logical columns that identify a record; a single one as a string",
        examples=["user_id"],
    )
    columns: dict[str, Column] = Field(
        default_factory=dict, description="The logical columns", examples=[{"user_id": "id", "nickname": "nickname"}]
    )
    where: str | dict[str, Any] | None = Field(
        default=None,
        description="Only these records belong to the relation: an SQL condition, a MongoDB filter as a table, or for Redis a "
        'table of a field of the value to its value or values, as in `{ status = "online" }`',
        examples=["revoked_at IS NULL"],
    )
    lifetime_s: float | None = Field(
        default=None,
        gt=0,
        description="For records without a column that says when they end: they end this many seconds after `created_at`. It "
        "takes the place of column `expires_at`",
        examples=[2_592_000],
    )
    searched_for_tokens: bool = Field(
        default=False, description="TOK-06 searches the columns for imTokens", examples=[True]
    )
    min_rows: int = Field(
        default=0,
        ge=0,
        description="With fewer rows than this, a check of the relation is inconclusive",
        examples=[1000],
    )
    alive_within_s: float | None = Field(
        default=None,
        gt=0,
        description="The longest normal time between two writes. Silence beyond it is a breach (KEEP-02, RPT-02); without "
        "it, a quiet table is not judged",
        examples=[86_400],
    )
    neighbours: str | None = Field(
        default=None,
        description="Who else may write here, in words. It makes the object a shared one: its counters alone prove no "
        "breach, witnesses do",
        examples=["support chat"],
    )
    short_lived: str | None = Field(
        default=None,
        description="Whose records live shorter than the time between two runs, in words. Then pairs of inserts and deletes "
        "of which nothing is left do not make a check of absence inconclusive; its coverage names them",
        examples=["drafts of the support chat"],
    )
    deletes: str | None = Field(
        default=None,
        description="Who removes records here on purpose, in words, such as a retention job or a TTL index. Then a removal is "
        "no breach; the coverage counts them",
        examples=["retention job, 400 days"],
    )
    watched: tuple[str, ...] = Field(
        default=(),
        description="The logical columns that matter to checks of absence (GRP-01, CNV-02, CNV-04, MSG-02). Inserts and deletes "
        "always count; an update counts only if it changes one of them. Without it, every update counts",
        examples=[["role", "left_at"]],
    )
    homes: tuple[Relation, ...] = Field(
        default=(),
        description="Further places in which such records are: each a mapping of its own, with the same `key`. Checks read all of "
        "them as one relation, and checks of absence watch each. `[[relations.NAME]]`, several times, is short for it",
        examples=[
            [{"role": "chat_db", "table": "public.bodies", "key": "message_id", "columns": {"message_id": "id"}}]
        ],
    )

    @field_validator("key", "watched", "watches", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("columns", mode="before", json_schema_input_type=dict[str, str | Column])
    @classmethod
    def _short_columns(cls, value: Any) -> Any:
        if isinstance(value, dict):
            columns = {name: {"column": item} if isinstance(item, str) else item for name, item in value.items()}
            ends = columns.get("expires_at")
            if isinstance(ends, dict):
                columns["expires_at"] = {"empty_means": "never", **ends}
            return columns
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Relation:
        given = [name for name in ("table", "select", "collection", "keys") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of table, select, collection, keys (given: {', '.join(given) or 'none'})"
            )
        missing = [name for name in self.key if name not in self.columns]
        if missing:
            raise ValueError(
                f"key column {missing[0]!r} is not among the columns ({', '.join(self.columns) or 'none'})"
            )
        if self.lifetime_s is not None and ("created_at" not in self.columns or "expires_at" in self.columns):
            raise ValueError("lifetime_s needs a column created_at, and no column expires_at")
        if unknown := [name for name in self.watched if name not in self.columns]:
            raise ValueError(f"watched column {unknown[0]!r} is not among the columns ({', '.join(self.columns)})")
        if self.watches and not (self.select or self.table):
            raise ValueError("watches is for a select, or for a view in table")
        for home in self.homes:
            if home.homes:
                raise ValueError("homes are not nested: list them side by side")
            if home.key != self.key:
                raise ValueError(
                    f"every home needs the same key: {', '.join(self.key)} and {', '.join(home.key)} differ"
                )
        return self

    @property
    def places(self) -> tuple[Relation, ...]:
        """This place of the records and its further homes, each without homes."""
        return (self.model_copy(update={"homes": ()}), *self.homes) if self.homes else (self,)

    def sensitive(self, column: str) -> bool:
        """Whether values of a logical column must never be shown."""
        found = self.columns.get(column)
        return found is not None and found.sensitive


class Channel(Section):
    """`[channels.NAME]`: a Redis publish/subscribe channel. Checks use the name `chat_notification` (PUB-01, PUB-02)."""

    role: str = Field(description="The role whose Redis has the channel", examples=["cache_redis"])
    name: str = Field(description="The channel's exact name", examples=["CHAT_NOTIFICATION"])
    neighbours: str | None = Field(
        default="other channels of this server",
        description="Who else publishes on this server, in words",
        examples=["OpenIM's cache invalidation"],
    )
    only_channel: bool = Field(
        default=False,
        description="Nothing else is published on this server, so every PUBLISH that its counters show is a breach",
        examples=[True],
    )


class Queue(Section):
    """`[queues.NAME]`: a RabbitMQ queue.

    Checks use `chat_message_notify` (MQ-01 to MQ-03), `notification_push` (MQ-04) and `push_tap`: a queue that you declare and
    bind to the push exchange, from which MQ-04 reads all pushes.
    """

    role: str = Field(default="broker", description="The role whose broker has the queue", examples=["broker"])
    name: str = Field(description="The queue's exact name", examples=["chat.message.notify"])
    neighbours: str | None = Field(default=None, description="Who else may use it, in words", examples=["audit export"])
    exchange: str | None = Field(
        default=None, description="The exchange that publishers use, if they do", examples=["chat"]
    )
    routing_key: str | None = Field(
        default=None, description="The key of the binding between them", examples=["chat.message.notify"]
    )
