"""Relations, channels and queues: logical names for the objects of a stack, mapped to the real ones."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from verifier.profile.section import Section

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
    sensitive: bool = Field(
        default=False,
        description="Never show the values: in findings, evidence and logs they are hidden",
        examples=[True],
    )


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
        description="SELECT whose result is the relation. It has no counters, so absence cannot be proven on it",
        examples=["SELECT id, name FROM a JOIN b USING (id)"],
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
        description="Only these records belong to the relation: an SQL condition, or a MongoDB filter as a table",
        examples=["revoked_at IS NULL"],
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

    @field_validator("key", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("columns", mode="before", json_schema_input_type=dict[str, str | Column])
    @classmethod
    def _short_columns(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: {"column": item} if isinstance(item, str) else item for name, item in value.items()}
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
        return self

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
    name: str = Field(min_length=1, description="The queue's exact name", examples=["chat.message.notify"])
    neighbours: str | None = Field(default=None, description="Who else may use it, in words", examples=["audit export"])
    exchange: str | None = Field(
        default=None, description="The exchange that publishers use, if they do", examples=["chat"]
    )
    routing_key: str | None = Field(
        default=None, description="The key of the binding between them", examples=["chat.message.notify"]
    )
    only_queue: bool = Field(
        default=False,
        description="Nothing but messages for this queue is published to `exchange`. A message that the exchange takes is then "
        "one for the queue, also when it reaches none. Otherwise such messages leave MQ-02 inconclusive, because the broker does "
        "not show their routing keys",
        examples=[True],
    )

    @model_validator(mode="after")
    def _has_an_exchange(self) -> Queue:
        if self.only_queue and not self.exchange:
            raise ValueError("only_queue = true needs exchange: every queue receives from the default exchange")
        return self
