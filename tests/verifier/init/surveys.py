"""Surveys of stacks, written by hand."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from verifier.init.addresses import Addresses
from verifier.init.draft import Draft, draft
from verifier.init.matching import wanted_columns
from verifier.init.survey import BrokerFound, Found, RedisFound, Survey
from verifier.profile import Profile, parse_profile
from verifier.profile.relations import Relation
from verifier.profile.template import TemplateValues, render_template

DAY = datetime(2026, 1, 5, tzinfo=UTC)
ALL = Addresses(
    user_db="postgresql://reader:s3cret@db:5432/users?sslmode=require",
    chat_db="postgresql://reader:s3cret@db/chat",
    mongo="mongodb://reader:s3cret@mongo/chat",
    redis="redis://:s3cret@cache:6379/2",
    rabbitmq="https://reader:s3cret@mq:15671",
    openim="http://openim:10002",
)
KEYS = ("session:a1", "session:b2", "im:token:u1", "hmac:nonce:9", "presence:u1")
QUEUES = (("/", "chat.message.notify"), ("/", "notification.push"))
BINDINGS = (
    ("/", "chat", "chat.message.notify", "chat.message.notify"),
    ("/", "notification", "notification.push", "notification.push"),
)


def template_relations() -> dict[str, Relation]:
    """The shipped template's relations."""
    raw: dict[str, Any] = tomllib.loads(render_template(TemplateValues(stack="acme")))
    return {name: Relation.model_validate(item) for name, item in raw["relations"].items()}


def as_in_the_template(*, without: frozenset[str] = frozenset()) -> Survey:
    """A stack with the names of the template, without some tables."""
    columns: dict[str, dict[str, dict[str, str]]] = {"user_db": {}, "chat_db": {}, "chat_mongo": {}}
    for relation in template_relations().values():
        name = relation.table or relation.collection
        if name and name not in without:
            wanted = dict.fromkeys(wanted_columns(relation), "text")
            columns[relation.role][name] = {**columns[relation.role].get(name, {}), **wanted}
    scope = "conversation_id openim_conversation_id openim_group_id since".split()
    columns["chat_db"]["public.openim_scope"] = dict.fromkeys(scope, "text")
    columns["chat_db"].get("public.conversations", {})["group_id"] = "text"
    found = {
        role: [Found(name=name, columns=item) for name, item in tables.items()] for role, tables in columns.items()
    }
    return Survey(
        tables={role: found[role] for role in ("user_db", "chat_db")},
        collections={"chat": found["chat_mongo"]},
        mongo_database="chat",
        redis=RedisFound(keys=KEYS, complete=True, channels=("CHAT_NOTIFICATION",)),
        broker=BrokerFound(queues=QUEUES, bindings=BINDINGS, unreadable=()),
        versions=dict.fromkeys(("user_db", "chat_db", "chat_mongo", "cache_redis", "broker"), "1.0"),
    )


def with_table(survey: Survey, role: str, name: str, columns: Mapping[str, str]) -> Survey:
    """The same stack with one more table."""
    survey.tables[role] = [*survey.tables[role], Found(name=name, columns=columns)]
    return survey


def drafted(survey: Survey, addresses: Addresses = ALL) -> tuple[Draft, Profile]:
    """The draft, and the profile that it loads as."""
    made = draft("acme", addresses, survey, today=DAY)
    return made, parse_profile(made.text, environment=dict.fromkeys(made.variables, "postgresql://u@h/d"))


def states(made: Draft) -> dict[str, str]:
    """The state of each section."""
    return {item.section: item.state for item in made.remarks}
