"""The shipped template: a profile with the names of data-ownership.md, filled in by `verifier init` and by the embedded stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

SCHEMA = "docs/stack.schema.json"
TEMPLATE = Path(__file__).with_name("template.toml.j2")


@dataclass(frozen=True, kw_only=True)
class RoleUrls:
    """How to reach the stores. An empty `broker`, `openim_mongo` or `gateway` leaves that role out."""

    user_db: str = "${USER_DB_URL}"
    chat_db: str = "${CHAT_DB_URL}"
    chat_mongo: str = "${CHAT_MONGO_URL}"
    chat_mongo_database: str = "chat"
    cache_redis: str = "${CACHE_REDIS_URL}"
    session_redis: str = "${SESSION_REDIS_URL}"
    broker: str = "${RABBITMQ_MANAGEMENT_URL}"
    broker_amqp: str = "${RABBITMQ_AMQP_URL}"
    broker_vhost: str = "/"
    openim_api: str = "http://openim:10002"
    openim_ws: str = "ws://openim:10001"
    openim_secret: str = "${OPENIM_SECRET}"  # noqa: S105 - the name of a variable, not a secret
    openim_admin: str = "ssotVerifier"
    openim_mongo: str = ""
    openim_mongo_database: str = "openim_v3"
    gateway: str = ""


@dataclass(frozen=True, kw_only=True)
class CanaryValues:
    """The `[canary]` section."""

    journal: str
    adapter: str
    users: tuple[str, ...]
    max_age_s: float = 86_400
    options: dict[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TimingValues:
    """The `[timing]` section."""

    settle_s: float = 5
    observe_s: float = 30
    counter_flush_s: float = 11
    openim_cache_s: float = 301


@dataclass(frozen=True, kw_only=True)
class TemplateValues:
    """The values of the template. `schema` is the path of the JSON Schema, relative to the profile."""

    stack: str
    phase: str = "baseline"
    history: str = "verifier-history.db"
    schema: str = SCHEMA
    since: dict[str, datetime] = field(default_factory=dict)
    identity: str = "strip_dashes"
    roles: RoleUrls = RoleUrls()
    timing: TimingValues = TimingValues()
    canary: CanaryValues | None = None
    collections: tuple[str, ...] = ()
    foreign_vhosts: tuple[str, ...] = ()
    media_hosts: tuple[str, ...] = ()
    openim_media: tuple[str, ...] = ()
    openim_expected: dict[str, dict[str, Any]] = field(default_factory=dict)


def render_template(values: TemplateValues) -> str:
    """Return the text of a profile."""
    import jinja2
    import tomlkit

    def to_toml(value: Any) -> str:
        return str(tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string())

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - TOML, not HTML
    environment.filters["toml"] = to_toml
    environment.filters["pad"] = lambda text: f"{text:<29} "
    since = {name: at.isoformat() for name, at in values.since.items()}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(**{**vars(values), "since": since})
