"""Relation `verifier.statements`: what this run has sent to each store, what was refused, and whether budgets were kept
[D14]."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from verifier.model.invariant import Row
from verifier.profile.budgets import StoreBudget
from verifier.stores.budget import BURST_S
from verifier.stores.statement_log import StatementLog

# An independent check of what the allow-lists passed, by the first word of each statement.
WRITING_WORDS = frozenset(
    """
    INSERT UPDATE DELETE MERGE TRUNCATE CREATE ALTER DROP GRANT REVOKE COPY CALL DO LOCK VACUUM NOTIFY REINDEX CLUSTER
    SET SETEX SETNX GETSET GETDEL DEL UNLINK EXPIRE PERSIST RENAME HSET HDEL SADD SREM ZADD ZREM LPUSH RPUSH LPOP RPOP INCR
    DECR APPEND PUBLISH SPUBLISH XADD EVAL EVALSHA FCALL FLUSHALL FLUSHDB MOVE COPY RESTORE SHUTDOWN
    PUT PATCH FINDANDMODIFY CREATEINDEXES DROPDATABASE RENAMECOLLECTION BULKWRITE
    """.split()
)
# "CLUSTER" begins a statement of PostgreSQL that rewrites a table, and commands of Redis, of which these only read
# (https://redis.io/docs/latest/commands/cluster-nodes/).
REDIS_READS = frozenset({"CLUSTER NODES", "CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER MYID"})


@dataclass(frozen=True, kw_only=True)
class EarlierRuns:
    """What is known of earlier runs: what the first part of a resumed run sent, by role, and when the last finished run
    ended."""

    reads: Mapping[str, int] = field(default_factory=dict)
    run_ended_at: datetime | None = None


class StatementsSource:
    """One row per store that this run has connected, and one with role `the run before` where there was an earlier run.

    `writes`: statements that begin with a writing word. `over`: how the budget was exceeded, or "". `age_s`: seconds since the
    earlier run ended; None for a store.
    """

    label = "verifier.statements (this run)"
    key: tuple[str, ...] = ("role",)
    queries: tuple[str, ...] = ()

    def __init__(
        self,
        statement_logs: Callable[[], Mapping[str, StatementLog]],
        budget: Callable[[str], StoreBudget],
        began: float,
        earlier: EarlierRuns,
        is_redis: Callable[[str], bool],
    ) -> None:
        self._statement_logs = statement_logs
        self._budget = budget
        self._began = began
        self._earlier = earlier
        self._is_redis = is_redis

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All rows."""
        yield self._rows()

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The rows with these values."""
        return [row for row in self._rows() if row[column] in values]

    def _rows(self) -> list[Row]:
        statement_logs, earlier = self._statement_logs(), self._earlier.reads
        elapsed_s = time.monotonic() - self._began
        rows: list[Row] = [
            {
                "role": role,
                "sent": earlier.get(role, 0) + (statement_log.total if statement_log else 0),
                "refused": statement_log.refused if statement_log else 0,
                "writes": self._writes(role, statement_log) if statement_log else (),
                "over": over_budget(statement_log, self._budget(role), elapsed_s) if statement_log else "",
                "age_s": None,
            }
            for role in sorted({*statement_logs, *earlier})
            for statement_log in [statement_logs.get(role)]
        ]
        if self._earlier.run_ended_at is not None:
            age_s = (datetime.now(UTC) - self._earlier.run_ended_at).total_seconds()
            empty: dict[str, Any] = {"sent": 0, "refused": 0, "writes": (), "over": ""}
            rows.append({"role": "the run before", **empty, "age_s": age_s})
        return rows

    def _writes(self, role: str, statement_log: StatementLog) -> tuple[str, ...]:
        reads = REDIS_READS if self._is_redis(role) else frozenset[str]()
        return tuple(line for line in statement_log.lines if line.upper() not in reads and _begins_to_write(line))


def _begins_to_write(statement: str) -> bool:
    return statement.partition(" ")[0].upper() in WRITING_WORDS


def over_budget(statement_log: StatementLog, budget: StoreBudget, elapsed_s: float) -> str:
    """How a budget was exceeded, in words; "" where it was kept."""
    if statement_log.in_flight_max > budget.max_concurrency:
        return f"{statement_log.in_flight_max} statements at once, {budget.max_concurrency} are allowed"
    allowed = budget.statements_per_s * (elapsed_s + BURST_S) + budget.max_concurrency
    if statement_log.paced > allowed:
        return (
            f"{statement_log.paced} statements in {elapsed_s:.1f} s, {budget.statements_per_s:g} a second are allowed"
        )
    return ""
