"""The draft maps what exists, marks guesses, leaves out the rest, loads, and holds no secret."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verifier.init.surveys import ALL, as_in_the_template, drafted, states, template_relations, with_table
from verifier.init.addresses import Addresses
from verifier.init.survey import BrokerFound, Found, RedisFound, Survey

USERS = {
    "id": "uuid",
    "nick_name": "text",
    "avatar_url": "text",
    "phone": "text",
    "e_mail": "text",
    "status": "text",
    "created_at": "bigint",
    "last_login_at": "timestamp with time zone",
}


def test_a_stack_as_in_the_template() -> None:
    """Every section is found and none is commented out."""
    made, profile = drafted(as_in_the_template())
    assert set(states(made).values()) == {"found"}
    assert set(profile.relations) == set(template_relations())
    assert set(profile.queues) == {"chat_message_notify", "notification_push"}
    assert "# found: public.users, 8 of 8 columns" in made.text


def test_no_address_is_the_template() -> None:
    """Without an address nothing is inspected, so nothing is left out."""
    made, profile = drafted(Survey(), Addresses())
    assert made.remarks == ()
    assert set(profile.relations) == set(template_relations())
    assert set(profile.roles.named()) >= {"user_db", "chat_db", "chat_mongo", "cache_redis", "broker", "openim"}


def test_no_secret_and_every_variable_named() -> None:
    """URLs are references. The head names each variable and shows its URL without the password."""
    made, _ = drafted(as_in_the_template())
    assert "s3cret" not in made.text
    assert set(made.variables) == {
        "USER_DB_URL", "CHAT_DB_URL", "CHAT_MONGO_URL", "CACHE_REDIS_URL",
        "RABBITMQ_MANAGEMENT_URL", "OPENIM_API_URL", "OPENIM_SECRET",
    }  # fmt: skip
    assert "#   export USER_DB_URL=" in made.text
    assert "@db:5432/users" in made.text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:s3cret/rest@db/users",
        "postgresql://reader:s3cret#12@db/users",
        "postgresql://reader:s3cret?1@db/users",
        "host=db password=s3cret",
        "postgresql://[s3cret",
        "redis://s3cret\n[roles.evil]\n@cache",
    ],
)
def test_passwords_with_reserved_characters_are_hidden(url: str) -> None:
    """A URL that cannot be parsed reliably is not shown at all, and does not end the comment."""
    given = replace(ALL, user_db=url)
    made, _ = drafted(as_in_the_template(), given)
    assert "s3cret" not in made.text
    assert not any(line.startswith("[roles.evil") for line in made.text.splitlines())


def test_a_table_under_another_name() -> None:
    """The most similar table is proposed and marked `check`, with its columns and types; missing columns are commented out."""
    columns = {name: kind for name, kind in USERS.items() if name != "last_login_at"}
    survey = with_table(as_in_the_template(without=frozenset({"public.users"})), "user_db", "app.members", columns)
    made, profile = drafted(survey)
    users = profile.relations["users"]
    assert states(made)["relations.users"] == "similar"
    assert "# found: app.members, 7 of 8 columns; check" in made.text
    assert users.table == "app.members"
    assert users.columns["nickname"].column == "nick_name"
    assert users.columns["email"].model_dump(exclude_defaults=True) == {"column": "e_mail", "sensitive": True}
    assert users.columns["created_at"].type == "epoch_ms"
    assert "last_login_at" not in users.columns
    assert "# columns.last_login_at" in made.text


def test_a_table_that_is_not_there() -> None:
    """Its section is commented out with the reason, and the file still loads."""
    made, profile = drafted(as_in_the_template(without=frozenset({"public.message_reads"})))
    assert "message_reads" not in profile.relations
    assert "# not found: no public.message_reads" in made.text
    assert "# [relations.message_reads]" in made.text


def test_common_columns_are_not_enough() -> None:
    """Nearly every table has an id and a date, so these alone do not match a table to a relation."""
    columns = {"id": "uuid", "created_at": "timestamp with time zone", "total": "numeric"}
    survey = with_table(
        as_in_the_template(without=frozenset({"public.link_requests"})), "user_db", "shop.orders", columns
    )
    made, profile = drafted(survey)
    assert "link_requests" not in profile.relations
    assert "shop.orders (id, created_at, total)" in made.text


def test_a_condition_without_its_column() -> None:
    """A relation whose condition cannot be written is left out: without it, it would have more records."""
    survey = as_in_the_template()
    survey.tables["user_db"] = [
        replace(item, columns={name: kind for name, kind in item.columns.items() if name != "revoked_at"})
        if item.name == "public.sessions"
        else item
        for item in survey.tables["user_db"]
    ]
    made, profile = drafted(survey)
    assert "sessions" not in profile.relations
    assert "its condition (revoked_at IS NULL) needs revoked_at" in made.text


def test_numbers_for_ids() -> None:
    """A numeric key gets type integer, and ids that are not UUIDs keep their dashes."""
    survey = as_in_the_template()
    survey.tables["user_db"] = [
        replace(item, columns={**item.columns, "id": "bigint"}) if item.name == "public.users" else item
        for item in survey.tables["user_db"]
    ]
    _, profile = drafted(survey)
    assert profile.relations["users"].columns["user_id"].type == "integer"
    assert profile.identity.kind == "same"


def test_some_addresses() -> None:
    """Roles without an address are commented out, with the sections that need them."""
    survey = as_in_the_template()
    only = Survey(tables={"user_db": survey.tables["user_db"]}, versions={"user_db": "1.0"})
    made, profile = drafted(only, Addresses(user_db=ALL.user_db))
    assert set(profile.roles.named()) == {"user_db"}
    assert {item.role for item in profile.relations.values()} == {"user_db"}
    assert not profile.queues
    assert set(made.variables) == {"USER_DB_URL"}


def test_a_store_that_failed() -> None:
    """Its sections stay as in the template and are marked; the others are adapted."""
    survey = as_in_the_template()
    del survey.tables["chat_db"], survey.versions["chat_db"]
    survey.failures["chat_db"] = "chat_db (PostgreSQL) cannot be reached"
    made, profile = drafted(survey)
    assert states(made)["relations.reports"] == "not_inspected"
    assert "reports" in profile.relations
    assert "# check: chat_db could not be inspected" in made.text


def test_other_keys_channels_and_queues() -> None:
    """If no key, channel or queue is named as in the template, none is mapped, and the existing names are listed."""
    survey = as_in_the_template()
    survey.redis = RedisFound(keys=("imtok/u1", "login/x9"), complete=True, channels=("talk",))
    survey.broker = BrokerFound(queues=(("/", "outbox"),), bindings=(), unreadable=())
    made, profile = drafted(survey)
    assert not [name for name, item in profile.relations.items() if item.keys]
    assert not profile.channels
    assert not profile.queues
    for named in ("imtok/* (1)", "login/* (1)", "#   talk", "outbox in vhost /", "channels that have some: talk"):
        assert named in made.text


def test_keys_that_come_and_go() -> None:
    """No presence key and no subscriber now, but other names are the template's: the sections stay, marked `check`."""
    survey = as_in_the_template()
    survey.redis = RedisFound(keys=("session:a1",), complete=True, channels=())
    made, profile = drafted(survey)
    assert {"presence", "nonces", "im_tokens"} <= set(profile.relations)
    assert "chat_notification" in profile.channels
    assert states(made)["relations.presence"] == "similar"


def test_a_queue_behind_another_exchange() -> None:
    """The existing binding is written into the draft."""
    survey = as_in_the_template()
    bindings = (("/", "events", "message.#", "chat.message.notify"),)
    survey.broker = BrokerFound(queues=(("/", "chat.message.notify"),), bindings=bindings, unreadable=())
    _, profile = drafted(survey)
    queue = profile.queues["chat_message_notify"]
    assert (queue.exchange, queue.routing_key) == ("events", "message.#")
    assert "notification_push" in profile.queues


def test_names_cannot_break_out_of_a_comment() -> None:
    """The name of a table or a key cannot add settings to the profile."""
    survey = with_table(as_in_the_template(), "chat_db", 'x\n[roles.evil]\nurl = "y"', {"a\rb": "text"})
    survey.redis = RedisFound(keys=("k\n[evil]",), complete=True, channels=("c\n[evil]",))
    survey.collections["other\n[evil]"] = [Found(name="x\u2028y\n[evil]", columns={})]
    made, profile = drafted(survey)
    assert not any(line.startswith("[evil") for line in made.text.splitlines())
    assert "evil" not in profile.roles.named()
