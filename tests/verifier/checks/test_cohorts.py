"""CNV-07: a scope that follows from the cohorts of users obeys `scope.mixed`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.verifier.checks.memory import found, judge, profile_of, table
from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.profile import ProfileError

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)
MOVED = NOW - timedelta(days=2)
RELATIONS = {
    "cohorts": "user_db/table/moved_people: user_id since",
    "conversation_members": "chat_db/table/thread_people: conversation_id user_id joined_at",
    "scope": "chat_db/table/moved: conversation_id since",
    "users": "user_db/table/people: user_id active",
}


def member(conversation: int, user: int, joined_at: Any = None) -> dict[str, Any]:
    """A member of a conversation."""
    return {"conversation_id": conversation, "user_id": user, "joined_at": joined_at}


async def judged(mixed: str, members: list[dict[str, Any]]) -> list[str]:
    """Users 1 and 2 have moved, 3 has not, 4 will tomorrow, 5 was banned. Conversation 10 has moved, 30 stays on purpose."""
    relations = RELATIONS | ({"neighbours": "chat_db/table/support: conversation_id"} if mixed == "any_member" else {})
    profile = profile_of(f'[scope]\nmixed = "{mixed}"', **relations)
    moved = [(1, MOVED), (2, None), (4, NOW + timedelta(days=1)), (5, MOVED)]
    return found(
        await judge(
            "CNV-07",
            profile,
            conversation_members=table(members, "conversation_id", "user_id"),
            cohorts=[{"user_id": user, "since": since} for user, since in moved],
            scope=[{"conversation_id": 10, "since": MOVED}],
            users=[{"user_id": user, "active": user != 5} for user in range(1, 6)],
            neighbours=[{"conversation_id": 30}],
        )
    )


async def test_all_members_must_have_moved() -> None:
    """A member in no cohort, or in one of tomorrow, is a breach; one who joined later or was banned is none."""
    members = [member(10, 1), member(10, 2), member(10, 3), member(10, 4), member(10, 6, NOW), member(20, 1)]
    assert await judged("all_members", members) == [
        "conversation 10 moved although its member 3 has not",
        "conversation 10 moved although its member 4 has not",
    ]


async def test_a_conversation_moves_with_its_first_member() -> None:
    """Unless it stays on purpose."""
    members = [member(10, 3), member(20, 1), member(20, 3), member(20, 4), member(30, 1), member(40, 5)]
    assert await judged("any_member", members) == ["member 1 has moved, but conversation 20 has not"]


def test_cohorts_need_the_rule_in_the_cutover() -> None:
    """In other phases no conversation is mixed."""
    with pytest.raises(ProfileError, match=r"scope\.mixed is missing"):
        profile_of(**RELATIONS)
    profile_of(phase="frozen", **RELATIONS)


def test_without_cohorts_it_does_not_apply() -> None:
    """A platform that moves conversations by themselves."""
    with pytest.raises(NotApplicable, match="do not move in cohorts"):
        load_checks()["CNV-07"].proofs(profile_of())
