"""The roles of a stack: which server plays which part, and how to reach it."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from verifier.model.urls import quoted_url
from verifier.profile.section import Section
from verifier.profile.zones import zone_of

_CA_FILE = "Certificates of the authorities to trust, as a PEM file. Those of the system if not set"
_CERTIFICATE = "Client certificate, as a PEM file"
_KEY = "Key of the client certificate, as a PEM file"


class Role(Section):
    """What every role has."""

    password_ends_at_last_at: ClassVar[bool] = False
    """Whether the URL has an `@` nowhere else, so that a password may hold any character."""

    connect_timeout_s: float = Field(default=5, gt=0, description="Time limit for connecting", examples=[10])
    operation_timeout_s: float = Field(
        default=30, gt=0, description="Time limit for one statement, command or request", examples=[60]
    )
    chunk_rows: int = Field(
        default=2000, ge=1, description="Largest number of rows that are read at once", examples=[500]
    )
    allow_writing_credential: bool = Field(
        default=False,
        description="Accept a credential that could write. Without it, such a role is refused. What is sent only reads in "
        "both cases",
        examples=[True],
    )

    @field_validator("url", "management_url", "amqp_url", check_fields=False)
    @classmethod
    def _quoted(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        if value is None:
            return None
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        quoted = quoted_url(text, last_at=cls.password_ends_at_last_at)
        return SecretStr(quoted) if isinstance(value, SecretStr) else quoted


class PostgresRole(Role):
    """A PostgreSQL database. The user needs SELECT on the mapped tables, nothing more."""

    url: SecretStr = Field(description="libpq URL", examples=["${USER_DB_URL}"])
    pgbouncer: bool = Field(
        default=False,
        description="The address is a PgBouncer. The `options` of the URL are then set in each transaction instead of at the "
        "start of a session, which PgBouncer refuses. Without this setting it is recognised by its refusal",
        examples=[True],
    )
    timestamp_zone: str | None = Field(
        default=None,
        description="The zone of the times in columns of type `timestamp` (without time zone): an IANA name or an offset. UTC "
        "if not set; but where the server's settings name another zone, checks that compare such times are inconclusive "
        "until this is set. `columns.NAME.zone` of a relation overrides it",
        examples=["Asia/Shanghai"],
    )
    ssl_root_cert: str | None = Field(
        default=None, description="`sslrootcert` of libpq: the authorities to trust", examples=["/run/certs/ca.pem"]
    )
    ssl_cert: str | None = Field(
        default=None, description="`sslcert` of libpq: the client certificate", examples=["/run/certs/client.pem"]
    )
    ssl_key: str | None = Field(
        default=None, description="`sslkey` of libpq: its key", examples=["/run/certs/client.key"]
    )

    @field_validator("timestamp_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            zone_of(value)
        return value


class MongoRole(Role):
    """A MongoDB database."""

    url: SecretStr = Field(description="MongoDB URL", examples=["${CHAT_MONGO_URL}"])
    database: str = Field(description="Name of the database with the mapped collections", examples=["chat"])
    tls_ca_file: str | None = Field(default=None, description=_CA_FILE, examples=["/run/certs/ca.pem"])
    tls_certificate_key_file: str | None = Field(
        default=None, description="Client certificate and key, in one PEM file", examples=["/run/certs/client.pem"]
    )


class RedisRole(Role):
    """A Redis or Valkey server with the database index of its URL, a Redis Cluster, or servers behind Sentinel."""

    password_ends_at_last_at = True
    url: SecretStr = Field(
        description="Redis URL: `redis://user:password@host:port/index`, `rediss://` for TLS, `unix://` for a socket. With "
        "`mode` cluster or sentinel, several `host:port` separated by commas: nodes of the cluster, or the Sentinels",
        examples=["${CACHE_REDIS_URL}"],
    )
    mode: Literal["single", "replica", "cluster", "sentinel"] = Field(
        default="single",
        description="What the URL leads to: one master, a replica that is read on purpose, nodes of a Redis Cluster, or "
        "Sentinels, which name the master",
        examples=["cluster"],
    )
    sentinel_master: str | None = Field(
        default=None,
        description="Mode sentinel: the name under which the Sentinels know the master",
        examples=["cache"],
    )
    sentinel_user: str | None = Field(
        default=None, description="Mode sentinel: the user at the Sentinels, if they need one", examples=["verifier"]
    )
    sentinel_password: SecretStr | None = Field(
        default=None,
        description="Mode sentinel: the password at the Sentinels. The URL has the credentials of the data server",
        examples=["${SENTINEL_PASSWORD}"],
    )
    addresses: dict[str, str] = Field(
        default_factory=dict,
        description="Modes cluster and sentinel: where to reach servers whose announced address cannot be reached from "
        "here, as announced `host:port` (or host) to `host:port`",
        examples=[{"10.0.0.5:6379": "localhost:16379"}],
    )
    tls_ca_file: str | None = Field(default=None, description=_CA_FILE, examples=["/run/certs/ca.pem"])
    tls_certificate_file: str | None = Field(default=None, description=_CERTIFICATE, examples=["/run/certs/client.pem"])
    tls_key_file: str | None = Field(default=None, description=_KEY, examples=["/run/certs/client.key"])
    tls_check_hostname: bool = Field(
        default=True,
        description="The certificate must name the host. Nodes of a cluster that announce bare addresses need it off; the "
        "authority is checked in both cases",
        examples=[False],
    )

    @model_validator(mode="after")
    def _sentinel_settings(self) -> RedisRole:
        given = [name for name in ("sentinel_master", "sentinel_user", "sentinel_password") if getattr(self, name)]
        if self.mode == "sentinel" and not self.sentinel_master:
            raise ValueError(
                "mode = 'sentinel' needs sentinel_master: the name under which the Sentinels know the master"
            )
        if self.mode != "sentinel" and given:
            raise ValueError(f"{given[0]} needs mode = 'sentinel'")
        return self


class BrokerRole(Role):
    """RabbitMQ: the management API, and AMQP for passive declares."""

    management_url: SecretStr = Field(
        description="URL of the management API, with the user's name and password",
        examples=["${RABBITMQ_MANAGEMENT_URL}"],
    )
    amqp_url: SecretStr | None = Field(
        default=None,
        description="AMQP URL. With it, a queue that does not exist can be distinguished from one that this user may not "
        "see; queue `push_tap` needs it",
        examples=["${RABBITMQ_AMQP_URL}"],
    )
    vhost: str = Field(
        default="/",
        description="Virtual host of the mapped queues, as it is and not percent-encoded. If `amqp_url` names one too, it must "
        "be the same",
        examples=["chat"],
    )
    tls_ca_file: str | None = Field(default=None, description=_CA_FILE, examples=["/run/certs/ca.pem"])

    @model_validator(mode="after")
    def _one_vhost(self) -> BrokerRole:
        if not self.vhost:
            raise ValueError("vhost is empty; the name of the default virtual host is '/'")
        if self.vhost.lower() == "%2f":
            raise ValueError(f"vhost = {self.vhost!r} is percent-encoded; write vhost = '/'")
        named = _vhost_of(self.amqp_url.get_secret_value()) if self.amqp_url else None
        if named is not None and named != self.vhost:
            raise ValueError(
                f"amqp_url names the virtual host {named!r}, and vhost is {self.vhost!r}: half of the checks would look at the wrong "
                f"one. Set vhost = {named!r}, or correct amqp_url"
            )
        return self


def _vhost_of(amqp_url: str) -> str | None:
    """The virtual host in an AMQP URL; None if it names none. A path of a single `/` is what clients write for the default
    one, although by the specification it names the empty one (https://www.rabbitmq.com/docs/uri-spec)."""
    with suppress(ValueError):
        url = urlsplit(amqp_url)
        return unquote(url.path.removeprefix("/")) or None if url.scheme in ("amqp", "amqps") else None
    return None


class OpenIMRole(Role):
    """OpenIM's REST API. Give `admin_token`, or `secret` and `admin_user_id`.

    Asking for a token moves the older tokens of that administrator to a grace period of 300 s [F28]. The verifier therefore
    needs an administrator id for itself; sharing one must be confirmed with `i_know_this_demotes_other_tokens`.
    """

    api_url: str = Field(
        description="URL of the REST API, with the path of a proxy in front if it has one: `https://im.example.com/api`",
        examples=["http://openim:10002"],
    )
    ws_url: str | None = Field(
        default=None,
        description="URL of the WebSocket gateway. For the reader of the profile: the canary connects through the "
        "platform's own gateway",
        examples=["ws://openim:10001"],
    )
    admin_token: SecretStr | None = Field(
        default=None,
        description="An administrator's token, if you issue it yourself",
        examples=["${OPENIM_ADMIN_TOKEN}"],
    )
    secret: SecretStr | None = Field(
        default=None,
        description="OpenIM's `secret` (share.yml), with which the verifier asks for a token once in a run",
        examples=["${OPENIM_SECRET}"],
    )
    admin_user_id: str | None = Field(
        default=None,
        description="Administrator id of the verifier, listed in OpenIM's `imAdminUser.userIDs`",
        examples=["ssotVerifier"],
    )
    i_know_this_demotes_other_tokens: bool = Field(
        default=False, description="Use an administrator id that others use as well, such as `imAdmin`", examples=[True]
    )
    batch_size: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=500, description="How many ids or records one request asks for", examples=[100]
    )
    tls_ca_file: str | None = Field(default=None, description=_CA_FILE, examples=["/run/certs/ca.pem"])
    id_prefix: str = Field(
        default="",
        description="How the OpenIM user ids of this platform begin, if other applications use the same OpenIM. What belongs "
        "to others is not judged, and its number is in the coverage. Everything is this platform's if not set",
        examples=["shop_"],
    )
    group_id_prefix: str | None = Field(
        default=None,
        description='How the group ids of this platform begin. The same as `id_prefix` if not set; `""` if OpenIM gave the '
        "groups their ids [F52], so that all groups are judged",
        examples=["shop_"],
    )

    @property
    def prefix_of_groups(self) -> str:
        """How the group ids of this platform begin; "" if all groups are its own."""
        return self.id_prefix if self.group_id_prefix is None else self.group_id_prefix

    @model_validator(mode="after")
    def _token_or_secret(self) -> OpenIMRole:
        if self.admin_token is None and (self.secret is None or not self.admin_user_id):
            raise ValueError("give admin_token, or secret together with admin_user_id")
        if self.admin_token is None and self.admin_user_id == "imAdmin" and not self.i_know_this_demotes_other_tokens:
            raise ValueError(
                "admin_user_id = 'imAdmin' is shared with OpenIM's own tools, and a new token demotes theirs to 300 s. "
                "Add an administrator id for the verifier to OpenIM's imAdminUser.userIDs, or set i_know_this_demotes_other_tokens = true"
            )
        return self


class GatewayRole(Role):
    """The platform's gateway. The verifier does not connect to it; the canary's adapter does."""

    url: str = Field(description="URL of the gateway", examples=["https://chat.example.com"])


class Roles(Section):
    """`[roles.NAME]`: the stores of the stack. Leave out what the stack does not have: checks that need it do not apply.

    Two roles may be the same server.
    """

    user_db: PostgresRole | None = Field(default=None, description="The database of the user-service")
    chat_db: PostgresRole | None = Field(default=None, description="The database of the chat-service")
    chat_mongo: MongoRole | None = Field(default=None, description="The MongoDB with the legacy messages")
    cache_redis: RedisRole | None = Field(
        default=None, description="The Redis with imTokens, presence and the notification channel"
    )
    session_redis: RedisRole | None = Field(default=None, description="The Redis with sessions and nonces")
    broker: BrokerRole | None = Field(default=None, description="RabbitMQ")
    openim: OpenIMRole | None = Field(default=None, description="OpenIM's REST API")
    openim_mongo: MongoRole | None = Field(
        default=None, description="OpenIM's MongoDB; the SEQ checks and parts of others need it"
    )
    openim_redis: RedisRole | None = Field(
        default=None, description="OpenIM's Redis, if it is another server; relations may refer to it"
    )
    gateway: GatewayRole | None = Field(default=None, description="The platform's gateway, for the canary")

    def get(self, name: str) -> Role | None:
        """The role called `name`, or None if the stack has none."""
        role = getattr(self, name, None)
        return role if isinstance(role, Role) else None

    def named(self) -> dict[str, Role]:
        """All roles that the stack has, by name."""
        return {name: role for name in type(self).model_fields if (role := self.get(name)) is not None}
