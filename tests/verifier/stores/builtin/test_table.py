"""The table of built-in relations agrees with the sources and the checks that use it."""

from __future__ import annotations

from typing import Any

import pytest

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.model.query import Rows
from verifier.profile import Profile, parse_profile
from verifier.profile.errors import NotMapped
from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole, MongoRole, OpenIMRole
from verifier.profile.template import CanaryValues, TemplateValues, render_template
from verifier.stores.builtin.table import BUILT_IN, BuiltIn, role_of
from verifier.stores.mongo.store import MongoStore
from verifier.stores.openim.store import OpenIMStore
from verifier.stores.pool import Stores
from verifier.stores.rabbitmq.store import RabbitMQStore

pytestmark = pytest.mark.anyio

STORES: dict[str, Any] = {
    "openim": OpenIMStore(
        "openim", OpenIMRole.model_validate({"api_url": "http://openim", "secret": "s", "admin_user_id": "verifier"})
    ),
    "openim_mongo": MongoStore(
        "openim_mongo", MongoRole.model_validate({"url": "mongodb://127.0.0.1/", "database": "openim_v3"})
    ),
    "broker": RabbitMQStore("broker", BrokerRole.model_validate({"management_url": "http://broker"})),
}


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The shipped template, with a tap queue and a database of OpenIM's."""
    names = "USER_DB_URL CHAT_DB_URL CHAT_MONGO_URL CACHE_REDIS_URL SESSION_REDIS_URL RABBITMQ_AMQP_URL OPENIM_SECRET".split()
    environment = {"RABBITMQ_MANAGEMENT_URL": "http://broker", **dict.fromkeys(names, "redis://server/0")}
    shipped = parse_profile(
        render_template(
            TemplateValues(stack="acme", canary=CanaryValues(journal="journals", adapter="a:B", users=("a", "b")))
        ),
        environment=environment,
    )
    queues = {**shipped.queues, "push_tap": Queue(name="verifier.tap")}
    roles = shipped.roles.model_copy(update={"openim_mongo": STORES["openim_mongo"].config})
    return shipped.model_copy(update={"queues": queues, "roles": roles})


class _Pool(Stores):
    """A pool whose stores are not connected."""

    async def get(self, role: str) -> Any:
        return STORES[role]


@pytest.mark.parametrize("relation", BUILT_IN.values(), ids=BUILT_IN)
async def test_a_source_has_the_key_of_its_row(profile: Profile, relation: BuiltIn) -> None:
    """Sources that define their rows themselves and the table name the same key, whose columns are listed."""
    source = await _Pool(profile).source(Rows(relation.name))
    assert source.key == relation.key
    assert set(relation.key) <= set(relation.columns)


def test_checks_read_only_columns_that_the_table_lists(profile: Profile) -> None:
    """What a check asks of a built-in relation is one of its columns."""
    asked = {}
    for check in load_checks(()):
        try:
            proofs = check.proofs(profile)
        except (NotMapped, NotApplicable):
            continue
        for proof in proofs:
            for rows in (getattr(proof, "subject", None), getattr(proof, "against", None)):
                if rows is not None and "." in rows.relation:
                    asked[rows.relation] = rows.columns
    assert len(asked) > 10
    assert {name for name, columns in asked.items() if not set(columns) <= set(BUILT_IN[name].columns)} == set()


async def test_an_unknown_name_is_not_mapped(profile: Profile) -> None:
    """A name that only looks built in is a relation that the profile does not map."""
    for name in ("openim_mongo.friend", "openim.friend", "verifier.journals"):
        with pytest.raises(NotMapped, match=name):
            await _Pool(profile).source(Rows(name))


def test_the_role_of_a_relation(profile: Profile) -> None:
    """Built-in relations name their role, the tap that of its queue, mapped ones that of the profile; others have none."""
    assert role_of("openim.users", profile) == "openim"
    assert role_of("openim_mongo.msg", profile) == "openim_mongo"
    assert role_of("broker.push_tap", profile) == "broker"
    assert role_of("broker.push_tap", profile.model_copy(update={"queues": {}})) is None
    assert role_of("users", profile) == profile.relations["users"].role
    assert role_of("verifier.statements", profile) is role_of("nonsense", profile) is None


async def test_the_clock_of_a_relation(profile: Profile) -> None:
    """A relation is dated by the clock of its store, and by the verifier's own where there is no store."""
    pool = _Pool(profile)
    assert await pool.clock_of("openim_mongo.msg") == STORES["openim_mongo"].clock
    assert await pool.clock_of("broker.push_tap") == STORES["broker"].clock
    assert (await (await pool.clock_of("media.head"))()).tzinfo is not None
