"""`[inventory]` and `[media]`: the ownership map of objects that no relation names, and where media are."""

from __future__ import annotations

from pydantic import Field

from verifier.profile.section import Section


class Inventories(Section):
    """`[inventory]`: objects that are declared, and objects that belong to others.

    The table, collection, channel or queue of a mapped relation is declared without an entry here.
    """

    collections: tuple[str, ...] = Field(
        default=(),
        description="MongoDB collections that are not copies of the messages, as `database.collection`; `*` matches within "
        "a name (MSG-03)",
        examples=[["chat.drafts", "shop.*"]],
    )
    queues: tuple[str, ...] = Field(
        default=(),
        description="RabbitMQ queues that are declared. For the reader of the profile; no check reads it",
        examples=[["billing.events"]],
    )
    tables: tuple[str, ...] = Field(
        default=(),
        description="Tables and columns that are approved although they are new or resemble chat state, as "
        "`schema.table` or `schema.table.column` (CNV-06, GRP-02, USR-08)",
        examples=[["public.polls", "public.group_extensions.topic"]],
    )
    foreign_keys: tuple[str, ...] = Field(
        default=(),
        description="Redis keys that belong to others, with `*` for any characters; `dbN:` before a pattern limits it to a "
        "database index. They are no presence of the platform, whatever their names and fields (PRS-01, PRS-02)",
        examples=[["shop:*", "db5:*"]],
    )
    foreign_vhosts: tuple[str, ...] = Field(
        default=(),
        description="RabbitMQ virtual hosts of others, with `*` for any characters. They are not judged (MQ-01, MQ-03)",
        examples=[["billing", "test-*"]],
    )
    foreign_channels: tuple[str, ...] = Field(
        default=(),
        description="Redis channels that belong to others. For the reader of the profile; no check reads it",
        examples=[["shop-events"]],
    )
    openim_users: tuple[str, ...] = Field(
        default=(),
        description="OpenIM ids, with `*` for any characters, of accounts that are not users of the platform: bots and "
        "load users. The canary's users are known without an entry (USR-02, GRP-04)",
        examples=[["canaryload*", "helpbot"]],
    )
    subscribers: tuple[str, ...] = Field(
        default=(),
        description="Names (`CLIENT SETNAME`) of Redis clients that may subscribe to the notification channel, such as "
        "monitoring (PUB-02)",
        examples=[["redis-exporter"]],
    )


class Media(Section):
    """`[media]`: where media are, and which hosts may be asked for them."""

    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="The only hosts that get a HEAD request, with their port if it is not the default. Without one, "
        "MED-01 does not apply",
        examples=[["media.example.com", "minio:9000"]],
    )
    openim_urls: tuple[str, ...] = Field(
        default=(),
        description="How the URLs of objects in OpenIM's bucket begin. OpenIM deletes these objects by age [F127]. "
        "Without one, MED-02 does not apply",
        examples=[["https://openim.example.com/object/"]],
    )
    file_expire_days: float | None = Field(
        default=None,
        gt=0,
        description="How long OpenIM keeps files (`fileExpireTime`). If not set, the value that `[openim_config]` declares, "
        "else OpenIM's default of 180 (MED-02)",
        examples=[365],
    )
    sample: int = Field(
        default=50,
        ge=1,
        description="How many files of the catalogue are asked for in one run (MED-01)",
        examples=[200],
    )
