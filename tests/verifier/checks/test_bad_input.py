"""Unusual data and wrong profiles: each is reported in a sentence, and the other checks are still judged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest
from bson import Binary
from psycopg import sql

from fixtures.blueprints.population import Population
from fixtures.faults import Site
from fixtures.faults.edits import Edit, put, put_all
from fixtures.faults.planting import findings
from fixtures.faults.tokens import token_of
from fixtures.platform.keys import im_token_key, presence_key
from fixtures.scenarios.small_world import reasons, verdicts
from fixtures.scenarios.verifier_runs import VerifierRuns
from fixtures.stack.stack import Stack, World
from verifier.model.verdict import ExitCode, RunResult, Verdict

pytestmark = pytest.mark.timeout(300)

STRANGE_IDS = (
    "a_b",
    "a:b",
    "a b",
    " a",
    "a",
    "A",
    "🦊",
    "'; DROP TABLE people; --",
    "%s",
    "%(id)s",
    "a\tb\n",
    "a/b",
    "é",
    "e\u0301",
)
LONG = "x" * 1_000_000
QUICK = put_all({"timing.observe_s": 0.3, "timing.settle_s": 0.3})


class Empty:
    """A world without users, and a verifier with a memory."""

    def __init__(self, world: World, watch: VerifierRuns) -> None:
        self.world = world
        self.watch = watch

    def judge(self, *edits: Edit, only: tuple[str, ...] = ()) -> RunResult:
        """One run."""
        text = QUICK(self.watch.profile())
        for edit in edits:
            text = edit(text)
        return asyncio.run(self.watch.judge(text, only=only))

    def plant(self, work: Callable[[Site], Awaitable[None]]) -> None:
        """Do something on a site of this world."""

        async def do() -> None:
            async with Site.open(self.world.config, Population(), self.world.admin) as site:
                await work(site)

        asyncio.run(do())


@pytest.fixture(scope="module")
def empty(stack: Stack) -> Iterator[Empty]:
    """A world that was not used yet. Its tests run in this order, and each adds to it."""
    with stack.new_world() as world, VerifierRuns(world.config) as watch:
        watch.enter("cutover")
        asyncio.run(watch.baseline())
        yield Empty(world, watch)


def test_nothing_holds_on_an_empty_stack(empty: Empty) -> None:
    """With nothing to compare, checks are not applicable and say so; none is violated and none crashes."""
    result = empty.judge()
    found = verdicts(result)
    assert Verdict.VIOLATED not in found.values()
    assert found["USR-01"] is Verdict.NOT_APPLICABLE
    empties = [item for item in result.outcomes if item.judgement.reason.startswith("empty")]
    assert len(empties) >= 10
    # Without a canary journal, its checks do not hold either.
    assert all("canary journal" in text for text in reasons(result).values()), reasons(result)


def test_too_few_rows_are_inconclusive(empty: Empty) -> None:
    """With `min_rows`, an empty table is inconclusive."""
    result = empty.judge(put("relations.users.min_rows", 1), only=("USR-01",))
    assert "expects at least 1" in reasons(result)["USR-01"]
    assert result.exit_code() is ExitCode.INCONCLUSIVE


@pytest.mark.parametrize(
    ("edit", "check_id", "word"),
    [
        (put("relations.sessions.table", "public.no_such_table"), "TOK-01", "no_such_table"),
        (put("relations.users.columns.nickname", "no_such_column"), "USR-05", "no_such_column"),
        (put("relations.users.table", "no_such_schema.users"), "USR-01", "no_such_schema"),
        (put("relations.sessions.columns.expires_at.column", "platform"), "TOK-01", "operator does not exist"),
        (put("roles.chat_db.url", "postgresql://nobody@127.0.0.1:1/nothing"), "RPT-01", "roles.chat_db.url"),
        (put("roles.openim.api_url", "http://127.0.0.1:1"), "USR-01", "roles.openim.api_url"),
        (put("roles.openim.secret", "wrong"), "USR-01", "secret"),
        (put("roles.chat_mongo.url", "mongodb://nobody:wrong@127.0.0.1:1/"), "MSG-01", "roles.chat_mongo.url"),
    ],
)
def test_a_wrong_profile_is_reported_and_other_checks_are_judged(
    empty: Empty, edit: Edit, check_id: str, word: str
) -> None:
    """The reason names what is wrong; checks that do not need it are judged as before."""
    empty.plant(_one_user)
    healthy = verdicts(empty.judge())
    result = empty.judge(put("roles.chat_db.connect_timeout_s", 1), edit)
    why = reasons(result)
    assert word in why[check_id], why
    assert not any("crashed" in text or "Traceback" in text for text in why.values()), why
    rest = {check: verdict for check, verdict in verdicts(result).items() if check not in why}
    assert rest
    assert rest == {check: verdict for check, verdict in healthy.items() if check not in why}
    assert result.exit_code() is ExitCode.INCONCLUSIVE


def test_a_condition_that_is_not_sql_is_refused(empty: Empty) -> None:
    """It never reaches the server. The check is inconclusive, and META-01 reports the refusal."""
    result = empty.judge(put("relations.users.where", "status = "), only=("USR-01", "TOK-03", "META-01"))
    assert "cannot be parsed as SQL" in reasons(result)["USR-01"]
    assert [item.key for item in findings(result)] == ["user_db"]


def test_a_missing_collection_is_not_an_error(empty: Empty) -> None:
    """Nothing was written to a collection that does not exist; the rest is judged."""
    result = empty.judge(
        put("relations.messages.collection", "no_such_collection"), only=("MSG-01", "TOK-06", "RPT-01")
    )
    assert not any("crashed" in text for text in reasons(result).values()), reasons(result)
    assert Verdict.VIOLATED not in verdicts(result).values()


def test_hostile_values_are_read(empty: Empty) -> None:
    """Bytes that are not UTF-8, values of the wrong type, a name of a megabyte."""
    empty.plant(_hostile)
    result = empty.judge()
    why = reasons(result)
    assert not any("crashed" in text or "Traceback" in text for text in why.values()), why
    others = {check: text for check, text in why.items() if "canary journal" not in text}
    assert all("cannot read" in text or "cannot be read" in text for text in others.values()), others
    shown = max(
        len(f"{item.key}{item.summary}{item.expected}{item.actual}{item.evidence}") for item in findings(result)
    )
    assert shown < 20_000  # a key of 5 000 characters is shown, a name of a million is not
    violated = {check for check, verdict in verdicts(result).items() if verdict is Verdict.VIOLATED}
    assert violated == {"USR-05", "TOK-04", "TOK-05", "KEEP-01"}
    assert others.keys() == {"TOK-02", "TOK-03", "TOK-08"}  # a value that is not text may be a token that a client packed


@pytest.fixture(scope="module")
def missing(empty: Empty) -> list[str]:
    """The keys of the users that one run finds missing in OpenIM."""
    empty.plant(_people)
    people = {
        "role": "user_db",
        "table": "public.people",
        "key": "user_id",
        "columns": {
            "user_id": "id",
            "active": {"column": "active", "type": "boolean"},
            "last_login_at": {"column": "at", "type": "timestamp"},
        },
    }
    result = empty.judge(put_all({"relations.users": people, "identity.kind": "same"}), only=("USR-01",))
    return [item.key for item in findings(result)]


@pytest.mark.parametrize("strange", STRANGE_IDS)
def test_strange_ids_are_compared_as_they_are(missing: list[str], strange: str) -> None:
    """An id is not trimmed, folded, normalised or read as SQL; each one is missing in OpenIM."""
    assert missing.count(strange) == 1
    assert len(missing) == len(STRANGE_IDS)


async def _one_user(site: Site) -> None:
    if not await site.user_sql("SELECT 1 FROM users LIMIT 1"):
        await site.new_user()


async def _hostile(site: Site) -> None:
    session = await site.new_user()
    await site.user_sql("UPDATE users SET nickname = %(long)s WHERE id = %(id)s", long=LONG, id=session.user_id)
    broken = await site.new_user()
    await site.redis.set(im_token_key(broken.user_id), b"\xff\xfe\x00")
    await site.redis.set(b"im:token:\xff\xfe", token_of(broken.user_id), ex=600)
    await site.redis.sadd(f"im:token:{'9' * 5_000}", "a set")
    await site.redis.set(b"session:\xff\xfe", b"\xff not JSON", ex=600)
    await site.redis.set(presence_key(session.user_id), "not a hash", ex=600)
    await site.messages.insert_many(
        [
            {"_id": 17, "conversation_id": 18, "content": Binary(b"\xff\xfe"), "created_at": "yesterday"},
            {"_id": {"a": 1}, "content": LONG},
            {"_id": Binary(b"\xff"), "conversation_id": None, "created_at": None, "content": [[[]]]},
        ]
    )


async def _people(site: Site) -> None:
    with psycopg.connect(site.config.platform.user_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS people (id text PRIMARY KEY, active boolean, at timestamptz)")
        for name in STRANGE_IDS:
            connection.execute(sql.SQL("INSERT INTO people VALUES (%s, true, now()) ON CONFLICT DO NOTHING"), (name,))
