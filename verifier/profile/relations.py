"""Relations: logical names for the records of a stack, mapped to tables, queries, collections or keys."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ColumnType = Literal["text", "integer", "boolean", "timestamp", "epoch_s", "epoch_ms", "json"]


class Column(BaseModel):
    """Where a logical column comes from. `name = "column"` is short for `name = { column = "column" }`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    type: ColumnType = "text"
    sensitive: bool = False


class Relation(BaseModel):
    """`[relations.NAME]`.

    One of `table`, `select` (PostgreSQL), `collection` (MongoDB) or `keys` (Redis pattern with `{placeholders}`) says where the
    records are; `where` narrows them in the store's own language (SQL condition, or a Mongo filter as a table).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    table: str | None = None
    select: str | None = None
    collection: str | None = None
    keys: str | None = None
    codec: Literal["text", "json", "jwt", "hash"] = "text"
    jwt_path: str | None = Field(default=None, description="for codec json: where in the value the token stands")
    key: tuple[str, ...] = Field(min_length=1)
    columns: dict[str, Column] = Field(default_factory=dict)
    where: str | dict[str, Any] | None = None
    searched_for_tokens: bool = Field(default=False, description="TOK-06 looks for imTokens in its columns")
    min_rows: int = Field(default=0, ge=0, description="fewer rows than this are inconclusive, not fine")
    alive_within_s: float | None = Field(
        default=None, gt=0, description="silence longer than this is a breach (kept tables)"
    )
    neighbours: str | None = Field(
        default=None, description="who else may write here, in words: makes the object a shared one"
    )

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("columns", mode="before")
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


class Channel(BaseModel):
    """`[channels.NAME]`: a Redis publish/subscribe channel, by its exact name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    name: str
    neighbours: str | None = Field(
        default="other channels of this server", description="who else publishes on this server, in words"
    )
    only_channel: bool = Field(default=False, description="no other channel on this server: any PUBLISH is a breach")


class Queue(BaseModel):
    """`[queues.NAME]`: a RabbitMQ queue and, where publishers use one, the exchange in front of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str = "broker"
    name: str
    neighbours: str | None = Field(default=None, description="who else may use it, in words")
    exchange: str | None = None
    routing_key: str | None = None
