"""KEEP-01: what a cache says of sessions, wherever both are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.verifier.checks.memory import judge, profile_of
from verifier.model.values import Unreadable
from verifier.model.verdict import Verdict
from verifier.profile import Profile

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)


def stack(columns: str = "created_at expires_at") -> Profile:
    """Sessions in MongoDB, their cache in Redis."""
    return profile_of(
        sessions=f"chat_mongo/collection/logins: session_id user_id {columns}",
        session_cache="cache_redis/keys/login/{session_id}: session_id ttl_ms",
    )


def session(ends_in: Any = timedelta(days=1), began: timedelta = timedelta(hours=-2)) -> dict[str, Any]:
    """A session."""
    ends = NOW + ends_in if isinstance(ends_in, timedelta) else ends_in
    return {"session_id": "s1", "user_id": 1, "created_at": NOW + began, "expires_at": ends}


async def verdict(profile: Profile, cached: list[str], sessions: list[dict[str, Any]], proof: int) -> Verdict:
    """The verdict of one proof of KEEP-01."""
    keys = [{"session_id": name, "ttl_ms": 1} for name in cached]
    checks = await judge_some(profile, keys, sessions)
    return checks[proof]


async def judge_some(profile: Profile, keys: list[dict[str, Any]], sessions: list[dict[str, Any]]) -> list[Verdict]:
    """The verdicts of all proofs."""
    return [item.verdict for item in await judge("KEEP-01", profile, session_cache=keys, sessions=sessions)]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [(timedelta(days=1), Verdict.HOLDS), (None, Verdict.HOLDS), (timedelta(hours=-1), Verdict.VIOLATED)],
    ids=["live", "never-ends", "ended"],
)
async def test_a_cached_session_needs_a_live_one(ends: Any, expected: Verdict) -> None:
    """One that has ended cannot be revoked either."""
    assert await verdict(stack(), ["s1"], [session(ends)], 1) is expected


async def test_an_unused_cache_is_a_breach_while_people_are_signed_in() -> None:
    """The sessions' store does not matter; with one key, or without a live session, it is none."""
    assert await verdict(stack(), [], [session()], -1) is Verdict.VIOLATED
    assert await verdict(stack(), ["s2"], [session()], -1) is Verdict.HOLDS
    assert await verdict(stack(), [], [], -1) is Verdict.NOT_APPLICABLE
    assert await verdict(stack(columns="user"), [], [session()], -1) is Verdict.VIOLATED


async def test_quiet_hours_are_inconclusive() -> None:
    """With the lifetime of a key declared, only sessions that began within it demand one."""
    quiet = stack()
    cache = quiet.relations["session_cache"].model_copy(update={"alive_within_s": 3_600})
    quiet = quiet.model_copy(update={"relations": {**quiet.relations, "session_cache": cache}})
    assert await verdict(quiet, [], [session()], -1) is Verdict.INCONCLUSIVE
    assert await verdict(quiet, [], [session(began=timedelta(minutes=-5))], -1) is Verdict.VIOLATED


async def test_ends_that_cannot_be_read_accuse_nobody() -> None:
    """A session with an unreadable end may have ended."""
    odd = session(Unreadable("soon", "not of type timestamp"))
    assert await verdict(stack(), [], [odd], -1) is Verdict.INCONCLUSIVE
