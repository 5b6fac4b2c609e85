"""A small world for mechanisms that hide or lose records: for each check one breach and its healthy look-alikes.

| check | breach | look-alikes |
|---|---|---|
| USR-01 | `ghost` logged in and is not registered | `alice`, `eve`, `bob` |
| USR-07 | `dave` is banned and has a live session | `alice` |
| RPT-01 | report `r-bad` is about `nobody` | `r-good`, `r-more` are about `alice`, `eve` |
| TOK-01 | `dave` has a live session and no token | `alice`, `eve` |
| TOK-02 | the token under the key of `eve` is `alice`'s | `alice` |
| TOK-05 | `bob` has a token and no live session | `alice`, `eve` |
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pymongo
import redis

import verifier
from fixtures.services.mongo import MongoClient, MongoGrant
from fixtures.services.openim_double import DoubleProcess, running_double
from fixtures.services.postgres import PostgresGrant
from fixtures.services.redis import RedisGrant
from fixtures.stack.stack import Stack
from verifier.model.verdict import RunResult, Verdict
from verifier.profile import Profile

BREACHES: Mapping[str, tuple[str, ...]] = {
    "USR-01": ("ghost",),
    "USR-07": ("dave",),
    "RPT-01": ("nobody", "r-bad"),
    "TOK-01": ("dave",),
    "TOK-02": ("eve",),
    "TOK-05": ("bob",),
}
"""What the finding of each check names."""
OPERATION_S = 1.5
NOW = datetime.now(UTC)
PEOPLE = {"alice": True, "eve": True, "bob": True, "ghost": True, "dave": False}
REPORTS = {"r-good": "alice", "r-bad": "nobody", "r-more": "eve"}
SESSIONS = {"s1": ("alice", 1), "s2": ("eve", 1), "s3": ("dave", 1), "s4": ("bob", -1)}
"""Users and after how many hours the session ends."""
TOKENS = {"alice": "alice", "eve": "alice", "bob": "bob"}
BREACHING = {"people": ("ghost", "dave"), "reports": ("r-bad",), "sessions": ("s3", "s4")}
"""The keys of the records without which no breach is to be seen."""

SCHEMA = """
CREATE TABLE people (id text PRIMARY KEY, active bool, last_login timestamptz);
CREATE TABLE reports (id text PRIMARY KEY, kind text, target text);
CREATE TABLE sessions (id text PRIMARY KEY, user_id text, expires_at timestamptz);
"""
Edit = Callable[[dict[str, Any]], None]


def token_of(user: str) -> str:
    """A token as OpenIM's, of no server."""
    issued = int(time.time())
    claims = {"UserID": user, "PlatformID": 2, "iat": issued, "nbf": issued - 60, "exp": issued + 86_400}
    return jwt.encode(claims, "a secret of no server, long enough for this algorithm", "HS256")


@dataclass
class HidingWorld:
    """The stores of the world, and the verifier over them."""

    sql: PostgresGrant
    mongo: MongoGrant
    redis: RedisGrant
    openim: DoubleProcess
    writer: MongoClient
    home: Path
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    # -- what is in the stores --

    def write(self, *statements: str, admin: bool = False) -> None:
        """As the owner of the tables or as the superuser, each statement a transaction."""
        with psycopg.connect(self.sql.admin_chat_db if admin else self.sql.chat_db, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.format(reader=self.reader, owner=self.owner, database=self.database))

    @property
    def reader(self) -> str:
        """The verifier's role."""
        return self.sql.verifier_chat_db.partition("//")[2].partition(":")[0]

    @property
    def owner(self) -> str:
        """The platform's role."""
        return self.sql.chat_db.partition("//")[2].partition(":")[0]

    @property
    def database(self) -> str:
        """The database."""
        return self.sql.chat_db.rpartition("/")[2]

    def tables(self, *, planted: bool = True) -> None:
        """Make the tables anew."""
        self.write("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public", f"GRANT ALL ON SCHEMA public TO {self.owner}", f"GRANT USAGE ON SCHEMA public TO {self.reader}", admin=True)  # fmt: skip
        with psycopg.connect(self.sql.chat_db, autocommit=True) as connection:
            connection.execute(SCHEMA)
            for table, rows in records(planted=planted).items():
                for row in rows:
                    marks = ", ".join(["%s"] * len(row))
                    connection.execute(f"INSERT INTO {table} VALUES ({marks})", list(row.values()))  # noqa: S608 - ours

    def documents(self, *, planted: bool = True) -> Any:
        """Make the collections anew, and return the database."""
        database = self.writer[self.mongo.database]
        for name in database.list_collection_names():
            database.drop_collection(name)
        for name, rows in records(planted=planted).items():
            database[name].insert_many([{"_id": row.pop("id"), **row} for row in rows])
        return database

    def tokens(self, client: Any = None, *, planted: bool = True, leave_out: tuple[str, ...] = ()) -> None:
        """Write the tokens anew."""
        with contextlib.ExitStack() as stack:
            if client is None:
                client = stack.enter_context(redis.Redis.from_url(self.redis.admin))
            for key in client.scan_iter("*"):
                client.delete(key)
            for user, whose in TOKENS.items():
                if user not in leave_out and (planted or user != "bob"):
                    client.set(f"im:token:{user}", token_of(whose if planted else user), ex=3600)

    # -- the verifier --

    def profile(self, *edits: Edit, place: str = "chat_db") -> Profile:
        """The profile, with people, reports and sessions in PostgreSQL or in MongoDB."""
        raw = copy.deepcopy(self._base())
        where = "table" if place == "chat_db" else "collection"
        key = "id" if place == "chat_db" else "_id"
        raw["relations"] |= {
            "users": {"role": place, where: "people", "key": "user_id", "columns": {
                "user_id": key, "active": {"column": "active", "type": "boolean"},
                "last_login_at": {"column": "last_login", "type": "timestamp"},
            }},
            "reports": {"role": place, where: "reports", "key": "report_id", "columns": {
                "report_id": key, "kind": "kind", "target_id": "target",
            }},
            "sessions": {"role": place, where: "sessions", "key": "session_id", "columns": {
                "session_id": key, "user_id": "user_id", "expires_at": {"column": "expires_at", "type": "timestamp"},
            }},
        }  # fmt: skip
        for edit in edits:
            edit(raw)
        return Profile.model_validate(raw)

    def _base(self) -> dict[str, Any]:
        limits = {"connect_timeout_s": 1.0, "operation_timeout_s": OPERATION_S, "chunk_rows": 2}
        return {
            "stack": "hiding", "phase": "cutover", "history": "memory:",
            "since": {"registered": NOW - timedelta(days=30), "cutover": NOW - timedelta(days=1)},
            "timing": {"settle_s": 0.1, "observe_s": 0.3, "counter_flush_s": 0.2},
            "roles": {
                "chat_db": {"url": self.sql.verifier_chat_db, **limits},
                "chat_mongo": {"url": self.mongo.verifier, "database": self.mongo.database, **limits},
                "cache_redis": {"url": self.redis.verifier, **limits},
                "openim": {"api_url": self.openim.api_url, "secret": self.openim.secret, "admin_user_id": self.openim.admin,
                           "i_know_this_demotes_other_tokens": True},
            },
            "scope": {"kind": "all"},
            "relations": {
                "im_tokens": {"role": "cache_redis", "keys": "im:token:{user_id}", "codec": "jwt", "key": "user_id",
                              "columns": {"user_id": "{user_id}", "token": "@token", "ttl_ms": "@ttl_ms"}},
            },
            "budgets": {name: {"statements_per_s": 5000} for name in ("chat_db", "chat_mongo", "cache_redis", "openim")},
        }  # fmt: skip

    def judge(self, *edits: Edit, only: tuple[str, ...] = (), place: str = "chat_db") -> RunResult:
        """One run."""
        return verifier.run(self.profile(*edits, place=place), only=list(only or BREACHES))

    def demand(
        self, name: str, result: RunResult, *, found: bool, breaches: Mapping[str, tuple[str, ...]] = BREACHES
    ) -> None:
        """No check holds over its breach or accuses anything else. `found`: every breach is found, because nothing is hidden."""
        wrong = []
        for outcome in result.outcomes:
            check, verdict, judgement = outcome.check_id, outcome.verdict, outcome.judgement
            accused = [item.summary for item in judgement.findings if not _names(item, breaches[check])]
            said = judgement.reason or "; ".join(item.summary for item in judgement.findings)
            self.rows.append((name, check, str(verdict), said))
            allowed = (Verdict.VIOLATED,) if found else (Verdict.VIOLATED, Verdict.INCONCLUSIVE)
            if accused:
                wrong.append(f"{check} accuses: {accused}")
            if verdict not in allowed:
                wrong.append(f"{check} {verdict}: {said}")
            if any(word in said for word in ("crashed", "Traceback", "fault of the verifier")):
                wrong.append(f"{check} crashed: {said}")
        assert {outcome.check_id for outcome in result.outcomes} == set(breaches)
        assert not wrong, "\n".join([name, *wrong, "", table(self.rows)])

    def demand_silence(self, name: str, result: RunResult) -> None:
        """Every check holds: the mechanism is harmless, and nothing is planted."""
        verdicts = {outcome.check_id: (str(outcome.verdict), outcome.judgement.reason) for outcome in result.outcomes}
        assert {verdict for verdict, _ in verdicts.values()} == {str(Verdict.HOLDS)}, (name, verdicts)


def _names(finding: Any, marks: tuple[str, ...]) -> bool:
    return any(mark in f"{finding.key} {finding.summary} {finding.raw_key}" for mark in marks)


def records(*, planted: bool = True) -> dict[str, list[dict[str, Any]]]:
    """The records by table."""
    people = [
        {"id": name, "active": active, "last_login": NOW}
        for name, active in PEOPLE.items()
        if planted or name not in BREACHING["people"]
    ]
    reports = [
        {"id": key, "kind": "user", "target": target}
        for key, target in REPORTS.items()
        if planted or target != "nobody"
    ]
    sessions = [
        {"id": key, "user_id": user, "expires_at": NOW + timedelta(hours=hours)}
        for key, (user, hours) in SESSIONS.items()
        if planted or key not in BREACHING["sessions"]
    ]
    return {"people": people, "reports": reports, "sessions": sessions}


def table(rows: list[tuple[str, str, str, str]], words: int = 14) -> str:
    """The matrix as Markdown: what each check said over its breach, with the first words of the reason."""
    lines = ["| mechanism | check | verdict | because |", "|---|---|---|---|"]
    for name, check, verdict, said in rows:
        first = " ".join(said.split()[:words]).replace("|", "\\|")
        lines.append(f"| {name} | {check} | {verdict} | {first} |")
    return "\n".join(lines)


@contextlib.contextmanager
def hiding_world(stack: Stack, home: Path, name: str) -> Iterator[HidingWorld]:
    """A world on the servers of the stack, filled. `MATRIX_FILE` in the environment: where to append the table."""
    with contextlib.ExitStack() as ending:
        sql, mongo, cache = stack.postgres.open_world(name), stack.mongo.open_world(name), stack.redis.open_world(name)
        for server in (stack.postgres, stack.mongo, stack.redis):
            ending.callback(server.close_world, name)
        openim = ending.enter_context(running_double(home / "openim.log"))
        writer: MongoClient = pymongo.MongoClient(mongo.platform, uuidRepresentation="standard")
        ending.callback(writer.close)
        asyncio.run(_register(openim))
        world = HidingWorld(sql, mongo, cache, openim, writer, home)
        world.tables()
        world.tokens()
        world.documents()
        try:
            yield world
        finally:
            if path := os.environ.get("MATRIX_FILE"):
                with Path(path).open("a") as output:
                    output.write(f"\n## {name}\n\n{table(world.rows)}\n")


async def _register(openim: DoubleProcess) -> None:
    async with openim.client() as client:
        await client.user_register([{"userID": user, "nickname": user} for user in ("alice", "eve", "bob", "dave")])


def put(**changes: Any) -> Edit:
    """Change settings of the profile: `put(roles__chat_db__url=...)`."""

    def edit(raw: dict[str, Any]) -> None:
        for path, value in changes.items():
            *before, last = path.split("__")
            target = raw
            for step in before:
                target = target.setdefault(step, {})
            target[last] = value

    return edit
