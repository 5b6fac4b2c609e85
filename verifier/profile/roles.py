"""The roles of a stack: which server plays which part, and how to reach it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Role(BaseModel):
    """What every role has: time limits, and the opt-in for a credential that could write."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_timeout_s: float = Field(default=5, gt=0)
    operation_timeout_s: float = Field(default=30, gt=0)
    chunk_rows: int = Field(default=2000, ge=1, description="rows read at once, at most")
    allow_writing_credential: bool = Field(default=False, description="go on although this credential could write")


class PostgresRole(Role):
    """A PostgreSQL database."""

    url: SecretStr
    pgbouncer: bool = Field(default=False, description="no prepared statements")
    ssl_root_cert: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None


class MongoRole(Role):
    """A MongoDB database."""

    url: SecretStr
    database: str
    tls_ca_file: str | None = None
    tls_certificate_key_file: str | None = None


class RedisRole(Role):
    """A Redis or Valkey server."""

    url: SecretStr
    tls_ca_file: str | None = None
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None


class BrokerRole(Role):
    """RabbitMQ: the management API, and AMQP for passive declares."""

    management_url: SecretStr
    amqp_url: SecretStr | None = None
    vhost: str = "/"
    tls_ca_file: str | None = None


class OpenIMRole(Role):
    """OpenIM's REST API. `ws_url`, its WebSocket gateway, is for the reader: the canary goes through the platform's own gateway.

    Give `admin_token`, or `secret` with an admin id of the verifier's own: asking for a token demotes that id's older
    tokens to 300 s (trap T2), so sharing the id with others needs `i_know_this_demotes_other_tokens`.
    """

    api_url: str
    ws_url: str | None = None
    admin_token: SecretStr | None = None
    secret: SecretStr | None = None
    admin_user_id: str | None = None
    i_know_this_demotes_other_tokens: bool = False
    batch_size: Annotated[int, Field(ge=1, le=1000)] = 500
    tls_ca_file: str | None = None

    @model_validator(mode="after")
    def _token_or_secret(self) -> OpenIMRole:
        if self.admin_token is None and (self.secret is None or not self.admin_user_id):
            raise ValueError("give admin_token, or secret together with admin_user_id")
        if self.admin_token is None and self.admin_user_id == "imAdmin" and not self.i_know_this_demotes_other_tokens:
            raise ValueError(
                "admin_user_id = 'imAdmin' is shared with OpenIM's own tools, and a new token demotes theirs to 300 s. "
                "Add an admin id of the verifier's own to OpenIM's imAdminUser.userIDs, or set i_know_this_demotes_other_tokens = true"
            )
        return self


class GatewayRole(Role):
    """The platform's gateway: only the canary talks to it."""

    url: str


class Roles(BaseModel):
    """`[roles.…]`: leave out what the stack does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_db: PostgresRole | None = None
    chat_db: PostgresRole | None = None
    chat_mongo: MongoRole | None = None
    cache_redis: RedisRole | None = None
    session_redis: RedisRole | None = None
    broker: BrokerRole | None = None
    openim: OpenIMRole | None = None
    openim_mongo: MongoRole | None = None
    openim_redis: RedisRole | None = None
    gateway: GatewayRole | None = None

    def get(self, name: str) -> Role | None:
        """The role called `name`, or None where the stack has none."""
        role = getattr(self, name, None)
        return role if isinstance(role, Role) else None

    def named(self) -> dict[str, Role]:
        """All roles that are there."""
        return {name: role for name in type(self).model_fields if (role := self.get(name)) is not None}
