"""GRP-04, CNV-03, CNV-05 and KEEP-03 where only the platform's table of users maps ids to OpenIM's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.verifier.checks.memory import found, judge, profile_of
from verifier.profile import Profile

pytestmark = pytest.mark.anyio

MOVED, BEFORE, LATER = (datetime(2026, 3, day, tzinfo=UTC) for day in (10, 5, 15))
USERS = [{"user_id": number, "openim_user_id": f"im-{number * 11}", "active": True} for number in (1, 2, 3)]


def by_column(text: str = "", **relations: str) -> Profile:
    """A profile whose users have an OpenIM id of their own."""
    return profile_of(
        f'[identity]\nkind = "column"\n{text}',
        users="user_db/table/people.accounts: user_id openim_user_id active",
        **relations,
    )


async def test_members_are_found_by_the_ids_of_their_users() -> None:
    """Who was left behind and who was let in; a joined member, one who left since and one who joined later are silent."""
    profile = by_column(
        group_members="chat_db/table/circle_people: group_id user_id joined_at",
        scope="chat_db/table/moved: group_id openim_group_id since conversation_id",
    )

    def member(user_id: int) -> dict[str, Any]:
        return {"group_id": 9, "user_id": user_id, "joined_at": BEFORE}

    def inside(openim_id: str, since: datetime) -> dict[str, Any]:
        return {"group_id": "g9", "user_id": openim_id, "in_openim_since": since}

    judged = await judge(
        "GRP-04",
        profile,
        group_members=[member(1), member(2)],
        scope=[{"group_id": 9, "openim_group_id": "g9", "since": MOVED}],
        users=USERS,
        openim__joined_groups=[{"member_id": "im-11", "group_id": "g9"}],
        openim__conversation_ids=[],
        openim__accounts=[{"user_id": "im-11"}, {"user_id": "im-22"}],
        openim__group_members=[inside("im-11", BEFORE), inside("im-33", BEFORE), inside("im-22", LATER)],
    )
    assert [text.partition(" was ")[0].partition(" has ")[0] for text in found(judged)] == ["user 2", "user im-33"]


async def test_flags_are_compared_with_the_owners_own_conversations() -> None:
    """A conversation that OpenIM lists is none of a breach, one that it does not list is."""
    profile = by_column(flags="chat_db/table/marks: user_id openim_conversation_id pinned")
    flags = [
        {"user_id": user, "openim_conversation_id": name, "pinned": True}
        for user, name in ((1, "si_im-11_im-22"), (2, "si_x_y"))
    ]
    lists = [{"owner_id": "im-11", "conversation_id": "si_im-11_im-22", "pinned": True}]
    referring = await judge("CNV-03", profile, flags=flags, users=USERS, openim__conversation_ids=lists)
    assert [text.partition(" has ")[0] for text in found(referring)] == ["user 2"]
    homes = await judge("CNV-05", profile, flags=flags, users=USERS, openim__conversations=lists)
    assert len(found(homes)) == 1
    assert "si_im-11_im-22" in found(homes)[0]


async def test_friends_are_compared_by_both_users_ids() -> None:
    """The friends of a friend do not count."""
    profile = by_column('[policies]\nfriends = "mirrored"', friends="user_db/table/buddies: user_id friend_id")
    friends = [{"user_id": 1, "friend_id": 2}, {"user_id": 1, "friend_id": 3}]
    there = [{"owner_id": "im-11", "friend_id": "im-22"}, {"owner_id": "im-22", "friend_id": "im-33"}]
    judged = await judge("KEEP-03", profile, friends=friends, users=USERS, openim__friends=there)
    assert found(judged) == ["3 is a friend of 1 on the platform but not in OpenIM"]
