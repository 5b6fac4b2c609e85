"""Sample results with every verdict, and findings in the wording of real checks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from verifier.history.records import FindingState, StoredFinding
from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.verdict import Coverage, Judgement, Outcome, RunResult, Verdict

START = datetime(2026, 11, 23, 2, 17, 0, tzinfo=UTC)


def finding(
    check_id: str,
    key: str,
    summary: str,
    expected: str,
    actual: str,
    next_step: str = "",
    *,
    severity: Severity = Severity.CRITICAL,
    evidence: Mapping[str, str] | None = None,
) -> Finding:
    """A finding with two passes, six seconds apart."""
    return Finding(
        check_id=check_id,
        severity=severity,
        key=key,
        raw_key=f"raw {key}",
        summary=summary,
        expected=expected,
        actual=actual,
        next_step=next_step,
        evidence=evidence or {},
        fingerprint=hashlib.sha256(f"{check_id} {key}".encode(errors="backslashreplace")).hexdigest()[:16],
        first_seen_at=START + timedelta(seconds=3.25),
        confirmed_at=START + timedelta(seconds=9.5),
    )


def outcome(check_id: str, title: str, severity: Severity, judgement: Judgement, took_s: float = 1.4) -> Outcome:
    """An outcome that started three seconds after the run."""
    begun = START + timedelta(seconds=3)
    return Outcome(
        check_id=check_id,
        title=title,
        severity=severity,
        judgement=judgement,
        started_at=begun,
        ended_at=begun + timedelta(seconds=took_s),
    )


def holds(
    seen: int, total: int | None, unit: str, text: str = "", *, unseen: Sequence[str] = (), notes: Sequence[str] = ()
) -> Judgement:
    """A judgement that holds, with coverage."""
    coverage = (Coverage(seen, total, unit, text, tuple(unseen)),)
    return Judgement(
        verdict=Verdict.HOLDS,
        coverage=coverage,
        notes=tuple(notes),
        queries=(
            'SELECT user_id, nickname FROM public.users WHERE user_id > $1 ORDER BY user_id COLLATE "C" LIMIT 500',
        ),
    )


def violated(
    findings: Sequence[Finding],
    total: int | None = None,
    *,
    coverage: Coverage,
    notes: Sequence[str] = (),
    queries: Sequence[str] = (),
) -> Judgement:
    """A violated judgement with its findings."""
    return Judgement(
        verdict=Verdict.VIOLATED,
        coverage=(coverage,),
        notes=tuple(notes),
        findings=tuple(findings),
        findings_total=len(findings) if total is None else total,
        queries=tuple(queries),
    )


MISSING_USERS = [
    finding(
        "USR-01",
        f"users.user_id = {user}",
        "logged in after the start of phase registered, but OpenIM does not know the account",
        "registered in OpenIM (POST /user/account_check: registered)",
        "unregistered",
        "Register the account with POST /user/user_register, then look why the first login did not: the gateway's log at "
        "the time of the login.",
        evidence={
            "user_db": "public.users: last_login_at 2026-11-22 21:40:03 UTC",
            "openim": f"/user/account_check [{user.replace('-', '')}] -> accountStatus 0",
        },
    )
    for user in (
        "0e0b9a52-6c07-4c0e-9f0d-6a7a3d1c2f10",
        "3f4d2b11-08f3-4b61-a8c3-b0d0d3bb7a55",
        "b7e7f3a0-91d4-4a3e-8a15-1c8f9f0f7777",
        "c1a70000-aaaa-4bbb-8ccc-123456789abc",
    )
]

BACKDATED = finding(
    "MSG-01",
    "chat.messages _id = 6741f0c2e7b1a2d3c4e5f607",
    "a message document of a conversation that moved to OpenIM was inserted after the move",
    "no insert since 2026-11-20 08:00:00 UTC (the conversation's since)",
    "inserted between two readings; created_at says 2026-10-02 11:20:41 UTC, which is back-dated",
    "Find the writer: a service that still runs with the old configuration. Hints seen at the time are in the evidence.",
    evidence={
        "conversation": "conv-000017, in scope since 2026-11-20 08:00:00 UTC",
        "change stream": "insert at 2026-11-23 02:11:09 UTC, resume token 8267…",
        "counter": "inserts 18 204 -> 18 205 since 2026-11-22 02:17:04 UTC, continuity kept",
    },
)


def mixed_result() -> RunResult:
    """A run in phase frozen with findings; every verdict occurs."""
    critical, high, medium = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM
    hostile = finding(
        "USR-05",
        "users.user_id = 7d0e",
        "nickname differs: <script>alert(1)</script> [bold]not markup[/bold] \x1b[31mred\u202e",
        "nickname with SHA-256 5feceb66…",
        "nickname with SHA-256 6b86b273…",
        "Look why the profile sync did not run.",
        severity=medium,
        evidence={"user_db": "updated_at 2026-11-22 10:00:00 UTC", "openim": "get_users_info"},
    )
    outcomes = (
        outcome(
            "MSG-01",
            "No new message documents in our Mongo for migrated conversations",
            critical,
            violated(
                [BACKDATED],
                coverage=Coverage(3, 3, "collections", "window 24 h; counters, change stream; continuity kept"),
                queries=("db.messages.watch([...], {resumeAfter: …})",),
            ),
            4.2,
        ),
        outcome(
            "MSG-02",
            "Frozen message documents are neither changed nor deleted",
            high,
            holds(18205, 18205, "documents", "window 24 h; continuity kept"),
        ),
        outcome(
            "MSG-03",
            "No chat-shaped collection outside the inventory",
            high,
            holds(11, 11, "collections", "2 databases"),
        ),
        outcome(
            "CNV-01",
            "No new rows in conversations and conversation_sequences for OpenIM chats",
            critical,
            holds(
                2,
                2,
                "tables",
                "window 24 h; counters and xmin; continuity kept",
                unseen=("an insert that was deleted again: support chat writes to the same table",),
                notes=("aborted insert attempts: inserts moved by 1, deletes by 0, and nobody is there",),
            ),
            2.1,
        ),
        outcome(
            "USR-01",
            "Every active user that logged in since the registration phase began is registered in OpenIM",
            critical,
            violated(
                MISSING_USERS,
                16,
                coverage=Coverage(3120, 3120, "users", "settle window 5 s"),
                notes=("default policy: accounts without a login are not expected in OpenIM",),
                queries=("SELECT user_id FROM public.users WHERE last_login_at >= $1", "POST /user/account_check"),
            ),
            6.0,
        ),
        outcome(
            "USR-05",
            "Nickname and avatar in OpenIM equal our profile",
            medium,
            violated([hostile], coverage=Coverage(3120, 3120, "users")),
        ),
        outcome(
            "USR-08",
            "The user-service schema is unchanged: no message storage was added",
            high,
            holds(9, 9, "tables", "fingerprint of 2026-11-20"),
        ),
        outcome(
            "TOK-01",
            "Each user with a live session has an imToken",
            high,
            holds(412, 412, "users with a live session", "settle window 5 s"),
        ),
        outcome("TOK-03", "An imToken's key lives no longer than the token", high, holds(412, 412, "keys")),
        outcome(
            "MQ-01",
            "The queue chat.message.notify is gone in every vhost",
            high,
            Judgement.inconclusive(
                "broker did not answer within 10 s: connection refused at 127.0.0.1:15672. Is the management plugin on? Run: rabbitmq-plugins enable rabbitmq_management",
                notes=("1 of 2 vhosts was read before the connection broke",),
            ),
            10.0,
        ),
        outcome(
            "PRS-02",
            "Leftover presence keys drain",
            medium,
            Judgement(
                verdict=Verdict.WAIVED,
                reason="cleanup job runs on Friday (owner: platform team, until 2026-12-01)",
                findings=(
                    finding(
                        "PRS-02", "presence:u-17", "a presence key without TTL", "a TTL", "no TTL", severity=medium
                    ),
                ),
                findings_total=1,
                coverage=(Coverage(4, 4, "keys"),),
            ),
        ),
        outcome(
            "CFG-01",
            "OpenIM's configuration is the declared one",
            high,
            Judgement.not_applicable("no declaration: the profile has no [openim_config]"),
            0,
        ),
        outcome(
            "MSG-04",
            "Every canary message is in OpenIM exactly once, in order",
            critical,
            Judgement.not_applicable("canary off: the profile has no [canary]"),
            0,
        ),
        outcome(
            "MQ-05", "A push arrives once", high, Judgement.not_applicable("canary off: the profile has no [canary]"), 0
        ),
        outcome(
            "KEEP-03",
            "Our friends equal OpenIM's",
            medium,
            Judgement.not_applicable("policy: friends are not mirrored"),
            0,
        ),
        outcome(
            "RPT-01",
            "Reports point at things that exist",
            medium,
            Judgement.not_applicable("empty: relation reports has no rows"),
            0.3,
        ),
    )
    return RunResult(
        run_id="20261123T021700Z-7c1e",
        stack="demo (pg 7301…, mongo 66f0…)",
        phase="frozen",
        started_at=START,
        ended_at=START + timedelta(seconds=74),
        outcomes=outcomes,
        notes=("group_invites = kept is a default; say so in [policies] if it is meant",),
        reads={"user_db": 34, "chat_db": 51, "chat_mongo": 29, "cache_redis": 118, "openim": 44},
    )


def healthy_result() -> RunResult:
    """A run in phase cutover in which everything applicable holds."""
    full = mixed_result()
    outcomes = tuple(
        item
        if item.verdict in (Verdict.HOLDS, Verdict.NOT_APPLICABLE)
        else outcome(
            item.check_id, item.title, item.severity, holds(100, 100, "things", "window 20 s; continuity kept")
        )
        for item in full.outcomes
    )
    return RunResult(
        run_id="20261123T021500Z-11aa",
        stack=full.stack,
        phase="cutover",
        started_at=START - timedelta(minutes=2),
        ended_at=START - timedelta(seconds=80),
        outcomes=outcomes,
        reads={"user_db": 30, "openim": 21},
    )


def stored_finding(*, raw_key: str = "") -> StoredFinding:
    """BACKDATED as the history has it: in its fourth run, first seen three days before START."""
    return StoredFinding(
        fingerprint=BACKDATED.fingerprint,
        check_id="MSG-01",
        severity=Severity.CRITICAL,
        state=FindingState.PERSISTING,
        first_seen_at=START - timedelta(days=3),
        last_seen_at=START,
        healed_at=None,
        times_seen=4,
        raw_key=raw_key,
        finding=BACKDATED,
    )
