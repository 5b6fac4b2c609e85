"""USR-04 and GRP-05/06 where OpenIM is shared, and pairs that share a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verifier.checks.memory import found, judge, profile_of
from tests.verifier.proofs.world import Table

pytestmark = pytest.mark.anyio

SHARED = '[roles.openim_mongo]\nurl = "mongodb://127.0.0.1:1"\ndatabase = "openim_v3"\n'
USERS = "user_db/table/people.accounts: user_id openim_user_id active"


def shared_openim(text: str = "", **relations: str) -> Any:
    """A profile of an OpenIM that others use too."""
    profile = profile_of(text, users=USERS, **relations)
    role = profile.roles.openim
    assert role is not None
    roles = profile.roles.model_copy(
        update={"openim": role.model_copy(update={"id_prefix": "shop_", "group_id_prefix": ""})}
    )
    return profile.model_copy(update={"roles": roles})


async def test_an_id_outside_the_prefix_is_a_breach() -> None:
    """No other check would judge that user."""
    users = [
        {"user_id": 1, "openim_user_id": "shop_1", "active": True},
        {"user_id": 2, "openim_user_id": "Shop_2", "active": True},
    ]
    judged = await judge("USR-04", shared_openim(), users=users, openim__shared_chats=[])
    assert found(judged) == ["user 2 is mapped to an id that counts as another application's"]


async def test_groups_of_others_are_not_accused() -> None:
    """OpenIM made the groups' ids, so their owners say whose they are, and so does the platform's own list."""

    def group(name: str, owner: str) -> dict[str, Any]:
        return {"group_id": name, "owner_id": owner, "status": 0}

    owners = [
        {"group_id": name, "user_id": user}
        for name, users in {"1": ("other_1", "other_2"), "2": ("shop_1", "shop_2"), "3": ("other_1", "other_2")}.items()
        for user in users
    ]
    profile = shared_openim(scope="chat_db/table/moved: conversation_id group_id openim_group_id since")
    judged = await judge(
        "GRP-05",
        profile,
        openim__groups=[group("1", "other_1"), group("2", "shop_1"), group("3", "other_1")],
        openim__group_owners=owners,
        openim__group_members=[{"group_id": "1", "user_id": "other_9"}, {"group_id": "2", "user_id": "shop_9"}],
        openim__accounts=[],
        scope=[{"conversation_id": 9, "openim_group_id": "3"}],
    )
    assert found(judged) == [
        "OpenIM group 2 has 2 owners",
        "OpenIM group 3 has 2 owners",
        "member shop_9 of OpenIM group 2 is not registered as a user",
    ]


async def test_a_moved_group_outside_the_prefix_is_a_breach() -> None:
    """Its group would count as another application's."""
    profile = shared_openim(scope="chat_db/table/moved: conversation_id group_id openim_group_id since")
    role = profile.roles.openim
    assert role is not None
    roles = profile.roles.model_copy(update={"openim": role.model_copy(update={"group_id_prefix": "shop_"})})
    moved = [
        {"conversation_id": number, "group_id": number, "openim_group_id": name}
        for number, name in enumerate(("shop_g", "g", None))
    ]
    judged = await judge("GRP-06", profile.model_copy(update={"roles": roles}), scope=moved)
    assert [text.partition(", ")[0] for text in found(judged)] == ["legacy group 1 became OpenIM group g"]


async def test_messages_of_two_pairs_share_a_conversation() -> None:
    """The messages decide, even where no user has a record of the conversation; one pair in several documents is one."""
    pairs = [
        {"conversation_id": "si_a_b_c", "pair": "a and b_c"},
        {"conversation_id": "si_a_b_c", "pair": "a_b and c"},
        {"conversation_id": "si_d_e_f", "pair": "d and e_f"},
        {"conversation_id": "si_d_e_f", "pair": "d and e_f"},
    ]
    profile = profile_of(users=USERS, roles=SHARED)
    judged = await judge(
        "USR-04",
        profile,
        users=[],
        openim_mongo__conversation=[],
        openim_mongo__msg_pair=Table(pairs, key=("conversation_id", "pair")),
    )
    assert [item.summary for item in judged[2].findings] == ["2 pairs of users share conversation si_a_b_c"]


async def test_by_rest_only_users_who_can_be_mistaken_are_asked_for() -> None:
    """Where OpenIM's database is not read, the lists of conversations show both pairs."""
    users = [{"user_id": n, "openim_user_id": name, "active": True} for n, name in enumerate(("a", "b_c", "a_b", "c"))]
    chats = [
        {"user_id": "b_c", "conversation_id": "si_a_b_c", "pair": "a and b_c", "other": "a_b and c"},
        {"user_id": "a_b", "conversation_id": "si_a_b_c", "pair": "a_b and c", "other": "a and b_c"},
    ]
    judged = await judge("USR-04", profile_of(users=USERS), users=users, openim__shared_chats=chats)
    assert found([judged[1]]) == ["2 pairs of users share conversation si_a_b_c"] * 2
    assert judged[1].coverage[0].seen == 2
