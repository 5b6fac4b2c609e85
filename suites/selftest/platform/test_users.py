"""The user-service: what stays ours, and what of it OpenIM is told."""

from __future__ import annotations

import pytest

from fixtures.clients.gateway import Gateway, GatewayError
from fixtures.clients.platform_admin import PlatformAdmin, Status
from suites.selftest.platform.conftest import new_phone, sign_up
from suites.selftest.platform.looking import Looking

pytestmark = pytest.mark.anyio


async def test_rename_reaches_openim(gateway: Gateway, stores: Looking) -> None:
    """We stay the source of truth for names, and OpenIM shows the same."""
    session = await sign_up(gateway, "Before")
    await session.rename("After 👋")
    (row,) = await stores.user_rows("SELECT nickname FROM users WHERE id = %(id)s", id=session.user_id)
    openim_id = session.user_id.hex
    assert row["nickname"] == "After 👋"
    assert (await stores.im.get_users_info([openim_id]))[openim_id]["nickname"] == "After 👋"


async def test_entered_user_is_unknown_to_openim_until_login(
    gateway: Gateway, admin: PlatformAdmin, stores: Looking
) -> None:
    """Registration happens at first login, not before."""
    phone = new_phone()
    user_id = await admin.create_user(phone, "Imported")
    assert await stores.im.account_check([user_id.hex]) == {user_id.hex: False}
    session = await gateway.login(phone)
    assert session.user_id == user_id
    assert await stores.im.account_check([user_id.hex]) == {user_id.hex: True}


@pytest.mark.parametrize("status", ["banned", "deleted"])
async def test_who_is_put_out_loses_everything_live(
    gateway: Gateway, admin: PlatformAdmin, stores: Looking, status: Status
) -> None:
    """A ban or deletion ends the sessions, removes the imToken, and refuses the next login."""
    phone = new_phone()
    session = await gateway.sign_up(phone, "Troublemaker")
    token = await stores.im_token(session.user_id)
    await admin.set_status(session.user_id, status)
    assert await stores.im_token(session.user_id) is None
    assert not await stores.redis.exists(f"session:{session.session_id}")
    rows = await stores.user_rows(
        "SELECT FROM sessions WHERE user_id = %(id)s AND revoked_at IS NULL", id=session.user_id
    )
    assert rows == []
    with pytest.raises(Exception, match=r"150[67]"):
        await stores.im.parse_token(str(token))
    with pytest.raises(GatewayError, match="401"):
        await session.friends()
    with pytest.raises(GatewayError, match="403"):
        await gateway.login(phone)


async def test_friendship_has_two_rows_and_stays_ours(gateway: Gateway, stores: Looking) -> None:
    """An accepted request makes friends in both directions, here and not in OpenIM."""
    alice, bob = await sign_up(gateway), await sign_up(gateway)
    await alice.befriend(bob)
    assert await alice.friends() == [bob.user_id]
    assert await bob.friends() == [alice.user_id]
    assert await stores.im.get_friend_ids(alice.user_id.hex) == []


async def test_request_is_answered_by_its_receiver_alone(gateway: Gateway) -> None:
    """Neither the asker nor a stranger can accept, and an answered request is closed."""
    alice, bob, carol = [await sign_up(gateway) for _ in range(3)]
    request_id = await alice.request_friend(bob.user_id)
    for other in (alice, carol):
        with pytest.raises(GatewayError, match="404"):
            await other.answer_friend(request_id, accept=True)
    assert [request["id"] for request in await bob.link_requests()] == [str(request_id)]
    await bob.answer_friend(request_id, accept=False)
    with pytest.raises(GatewayError, match="404"):
        await bob.answer_friend(request_id, accept=True)
    assert await bob.friends() == []


async def test_private_fields_stay_private(gateway: Gateway) -> None:
    """Another user's phone number is not shown."""
    alice, bob = await sign_up(gateway, "Alice"), await sign_up(gateway, "Bob")
    assert set(await alice.call("GET", f"/users/{bob.user_id}")) == {"id", "nickname", "avatar_url"}


@pytest.mark.parametrize("body", [{"nickname": ""}, {"nickname": 7}])
async def test_bad_input_is_a_clear_refusal(gateway: Gateway, body: dict[str, object]) -> None:
    """Input of the wrong shape is refused before anything is written."""
    session = await sign_up(gateway)
    with pytest.raises(GatewayError) as refused:
        await session.call("PATCH", "/users/me", body)
    assert refused.value.status == 422
