"""Writes that a mechanism hides, between a baseline and a run: no check of absence holds over them, none is violated without one (R9, R12)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from bson import Decimal128

from fixtures.stack.stack import Stack
from tests.verifier.stores.hiding import Edit, HidingWorld, hiding_world, put
from verifier.engine.session import Session, execute, open_session
from verifier.history import RunKind
from verifier.model.verdict import RunResult, Verdict

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

OTHER_INDEX = 309
SCHEMA = """
CREATE TABLE conversations (id text, kind text, created_at timestamptz DEFAULT now());
INSERT INTO conversations SELECT 'c' || n, 'chat', '2025-01-01' FROM generate_series(1, 5) n;
"""
Act = Callable[[HidingWorld], Any]


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """`before`: switches it on before the baseline. `write`: the breach."""

    name: str
    check: str
    before: Act = lambda _world: None
    write: Act
    edit: Edit = field(default_factory=put)


def sql(*statements: str) -> Act:
    """Statements of the owner."""
    return lambda world: world.write(*statements)


def cache(act: Callable[[Any], Any], index: int | None = None) -> Act:
    """Commands of the platform, in another database index if given."""

    def run(world: HidingWorld) -> None:
        url = world.redis.admin if index is None else f"{world.redis.admin.rpartition('/')[0]}/{index}"
        with redis.Redis.from_url(url) as client:
            act(client)

    return run


def message(**document: Any) -> Act:
    """A message that the platform stores."""
    stored = {"conv": "c1", "at": datetime.now(UTC), **document}
    return lambda world: world.writer[world.mongo.database]["messages"].insert_one(stored)


def java(key: str) -> bytes:
    """A key as Spring's default serialiser writes it."""
    return b"\xac\xed\x00\x05t" + len(key).to_bytes(2, "big") + key.encode()


def unnoticed(world: HidingWorld) -> None:
    """A write that is undone, and whose counters are reset."""
    world.write(NEW, "DELETE FROM conversations WHERE id = 'hidden'")
    world.write("SELECT pg_stat_reset()", admin=True)


NEW = "INSERT INTO conversations VALUES ('hidden', 'chat', now())"
MECHANISMS = (
    Mechanism(name="none", check="CNV-01", write=sql(NEW)),
    Mechanism(name="policy", check="CNV-01", write=sql(NEW), before=sql(
        "ALTER TABLE conversations ENABLE ROW LEVEL SECURITY", "CREATE POLICY hide ON conversations USING (id <> 'hidden')")),
    Mechanism(name="child table", check="CNV-01", before=sql("CREATE TABLE child () INHERITS (conversations)"),
              write=sql("INSERT INTO child VALUES ('hidden', 'chat', now())")),
    Mechanism(name="child table made since", check="CNV-01", write=sql(
        "CREATE TABLE child () INHERITS (conversations)", "INSERT INTO child VALUES ('hidden', 'chat', now())")),
    Mechanism(name="partition", check="CNV-01", before=sql(
        "DROP TABLE conversations", "CREATE TABLE conversations (id text, kind text, created_at timestamptz) PARTITION BY LIST (kind)",
        "CREATE TABLE chats PARTITION OF conversations FOR VALUES IN ('chat')",
        "INSERT INTO conversations VALUES ('c1', 'chat', '2025-01-01')"), write=sql(NEW)),
    Mechanism(name="partition attached since", check="CNV-01", before=sql(
        "DROP TABLE conversations", "CREATE TABLE conversations (id text, kind text, created_at timestamptz) PARTITION BY LIST (kind)",
        "CREATE TABLE chats PARTITION OF conversations FOR VALUES IN ('chat')",
        "INSERT INTO conversations VALUES ('c1', 'chat', '2025-01-01')"), write=sql(
        "CREATE TABLE later (id text, kind text, created_at timestamptz)", "INSERT INTO later VALUES ('hidden', 'late', now())",
        "ALTER TABLE conversations ATTACH PARTITION later FOR VALUES IN ('late')")),
    Mechanism(name="dated back", check="CNV-01", write=sql("INSERT INTO conversations VALUES ('hidden', 'chat', '2024-01-01')")),
    Mechanism(name="without a date", check="CNV-01", write=sql("INSERT INTO conversations VALUES ('hidden', 'chat', NULL)")),
    Mechanism(name="without an id", check="CNV-01", write=sql("INSERT INTO conversations VALUES (NULL, 'chat', now())")),
    Mechanism(name="inserted and deleted", check="CNV-01", write=sql(NEW, "DELETE FROM conversations WHERE id = 'hidden'")),
    Mechanism(name="deleted", check="CNV-01", write=sql("DELETE FROM conversations WHERE id = 'c1'")),
    Mechanism(name="key char(12)", check="CNV-01", before=sql("ALTER TABLE conversations ALTER id TYPE char(12)"), write=sql(NEW)),
    Mechanism(name="view by current_user", check="CNV-01", write=sql(NEW), edit=put(relations__conversations__table="public.seen"), before=sql(
        "CREATE VIEW seen AS SELECT * FROM conversations WHERE id <> 'hidden' OR current_user <> '{reader}'")),
    Mechanism(name="statistics reset", check="CNV-01", write=unnoticed),
    Mechanism(name="key", check="PRS-01", write=cache(lambda client: client.set("presence:hidden", "1", ex=60))),
    Mechanism(name="other index", check="PRS-01", write=cache(lambda client: client.set("presence:hidden", "1", ex=60), OTHER_INDEX)),
    Mechanism(name="serialised key", check="PRS-01", write=cache(lambda client: client.set(java("presence:hidden"), "1", ex=60))),
    Mechanism(name="namespace", check="PRS-01", write=cache(lambda client: client.set("app1:presence:hidden", "1", ex=60))),
    Mechanism(name="field of a hash", check="PRS-01", write=cache(lambda client: client.hset("state:hidden", "presence", "on"))),
    Mechanism(name="bytes in the key", check="PRS-01", write=cache(lambda client: client.set(b"presence:\xff\xfe", "1", ex=60))),
    Mechanism(name="hash under the key", check="PRS-01", write=cache(lambda client: client.hset("presence:hidden", "a", "1"))),
    Mechanism(name="document", check="MSG-01", write=message()),
    Mechanism(name="integer key", check="MSG-01", write=message(_id=7)),
    Mechanism(name="text key", check="MSG-01", write=message(_id="m7")),
    Mechanism(name="UUID key", check="MSG-01", write=message(_id=uuid.uuid4())),
    Mechanism(name="Decimal128 key", check="MSG-01", write=message(_id=Decimal128("1.5"))),
    Mechanism(name="dated back", check="MSG-01", write=message(at=datetime(2024, 1, 1, tzinfo=UTC))),
    Mechanism(name="date is a text", check="MSG-01", write=message(at="yesterday")),
    Mechanism(name="without a date", check="MSG-01", write=message(at=None)),
    Mechanism(name="without a conversation", check="MSG-01", write=message(conv=None)),
)  # fmt: skip
RELATIONS = {
    "conversations": {"role": "chat_db", "table": "public.conversations", "key": "conversation_id", "columns": {
        "conversation_id": "id", "created_at": {"column": "created_at", "type": "timestamp"}}},
    "presence": {"role": "cache_redis", "keys": "presence:{user_id}", "key": "user_id", "columns": {
        "user_id": "{user_id}", "ttl_ms": "@ttl_ms"}},
    "messages": {"role": "chat_mongo", "collection": "messages", "key": "message_id", "columns": {
        "message_id": "_id", "conversation_id": "conv", "created_at": {"column": "at", "type": "timestamp"}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HidingWorld]:
    """The servers and the world of the whole matrix."""
    with hiding_world(stack, tmp_path_factory.mktemp("matrix"), "matrix_absence") as opened:
        yield opened


def night(session: Session, kind: RunKind = RunKind.RUN) -> RunResult:
    """One run, or the baseline."""
    return execute(session.profile, session.plan, session.history, kind=kind, handle=lambda _event: None)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda item: f"{item.check}-{item.name}")
def test_writes_are_not_overlooked(world: HidingWorld, mechanism: Mechanism, tmp_path: Path) -> None:
    """A quiet night is not violated, and a night with the write does not hold."""
    world.tables()
    world.write(SCHEMA)
    world.tokens()
    cache(lambda client: client.flushdb(), OTHER_INDEX)(world)
    database = world.documents()
    database["messages"].insert_many([{"conv": "c1", "at": datetime(2025, 1, 1, tzinfo=UTC)} for _ in range(3)])
    mechanism.before(world)
    since = {"registered": datetime(2026, 1, 1, tzinfo=UTC), "cutover": datetime(2026, 2, 1, tzinfo=UTC)}
    frozen = put(
        phase="frozen",
        since={**since, "frozen": datetime.now(UTC) - timedelta(hours=1)},
        history=str(tmp_path / "history.db"),
    )
    profile = world.profile(
        put(**{f"relations__{name}": relation for name, relation in RELATIONS.items()}), frozen, mechanism.edit
    )
    with open_session(profile, only=[mechanism.check]) as session:
        night(session, RunKind.BASELINE)
        (quiet,) = night(session).outcomes
        mechanism.write(world)
        result = night(session)
    assert quiet.verdict is not Verdict.VIOLATED, quiet.judgement.findings
    (outcome,) = result.outcomes
    said = outcome.judgement.reason or "; ".join(item.summary for item in outcome.judgement.findings)
    world.rows.append((f"{mechanism.name} (quiet: {quiet.verdict})", mechanism.check, str(outcome.verdict), said))
    assert outcome.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE), (outcome.verdict, said)
    assert not any(word in said for word in ("crashed", "Traceback", "fault of the verifier")), said
