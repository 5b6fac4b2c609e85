"""The gateway: sessions, signatures, nonces, and imTokens that never come out."""

from __future__ import annotations

import json
import time

import jwt
import pytest

from fixtures.clients import signing
from fixtures.clients.gateway import Gateway, GatewayError, Session, result_of
from fixtures.world import WorldConfig
from suites.selftest.platform.conftest import new_phone, sign_up
from suites.selftest.platform.looking import Looking

pytestmark = pytest.mark.anyio


async def raw_login(gateway: Gateway, phone: str) -> str:
    """The whole text of a login's answer."""
    otp = result_of(await gateway.http.post("/auth/otp", json={"phone": phone}))
    body = {"phone": phone, "request_id": otp["request_id"], "code": otp["code"], "nickname": "Raw"}
    return (await gateway.http.post("/auth/login", json=body)).text


async def test_first_login_registers_and_keeps_a_token(gateway: Gateway, stores: Looking) -> None:
    """A first login leaves a user in both homes, a session in PostgreSQL and Redis, and an imToken in Redis."""
    session = await sign_up(gateway, "Zoë 🦊", platform=5)
    openim_id = session.user_id.hex
    assert (await stores.im.get_users_info([openim_id]))[openim_id]["nickname"] == "Zoë 🦊"
    rows = await stores.user_rows("SELECT * FROM sessions WHERE user_id = %(id)s", id=session.user_id)
    assert [str(row["id"]) for row in rows] == [session.session_id]
    cached = json.loads(await stores.redis.get(f"session:{session.session_id}") or "{}")
    assert cached["user_id"] == str(session.user_id)
    assert cached["platform"] == 5
    claims = jwt.decode(await stores.im_token(session.user_id) or "", options={"verify_signature": False})
    assert (claims["UserID"], claims["PlatformID"]) == (openim_id, 5)
    for key in (f"session:{session.session_id}", f"im:token:{session.user_id}"):
        assert 0 < await stores.redis.ttl(key) < claims["exp"] - time.time()


async def test_login_answer_holds_no_token(gateway: Gateway, stores: Looking) -> None:
    """With delivery by proxy, no client ever sees the imToken."""
    text = await raw_login(gateway, new_phone())
    token = await stores.im_token(json.loads(text)["user"]["id"])
    assert token
    assert token not in text
    assert "im_token" not in text


async def test_replayed_call_is_refused(gateway: Gateway) -> None:
    """The same signed call a second time is a 409, and nothing happens twice."""
    session = await sign_up(gateway)
    body = json.dumps({"nickname": "Once"}).encode()
    headers = signing.signed_headers(session.session_id, session.secret, method="PATCH", target="/users/me", body=body)
    headers["Content-Type"] = "application/json"
    first = await gateway.http.patch("/users/me", content=body, headers=headers)
    second = await gateway.http.patch("/users/me", content=body, headers=headers)
    assert (first.status_code, second.status_code) == (200, 409)


async def test_used_code_is_refused(gateway: Gateway) -> None:
    """A one-time code opens one session."""
    phone = new_phone()
    otp = result_of(await gateway.http.post("/auth/otp", json={"phone": phone}))
    body = {"phone": phone, "request_id": otp["request_id"], "code": otp["code"]}
    first = await gateway.http.post("/auth/login", json=body)
    second = await gateway.http.post("/auth/login", json=body)
    assert (first.status_code, second.status_code) == (200, 409)


@pytest.mark.parametrize("what", ["body", "target", "method", "late", "secret", "unsigned"])
async def test_wrong_signature_is_refused(gateway: Gateway, what: str) -> None:
    """A call is refused when anything in it differs from what was signed."""
    session = await sign_up(gateway)
    body, target, method, secret = b'{"bio": "x"}', "/users/me/profile", "PUT", session.secret
    headers = signing.signed_headers(
        session.session_id,
        "0" * 64 if what == "secret" else secret,
        method="POST" if what == "method" else method,
        target="/users/me" if what == "target" else target,
        body=b"other" if what == "body" else body,
    )
    if what == "late":
        headers[signing.TIMESTAMP_HEADER] = str(int(time.time()) - 600)
    if what == "unsigned":
        headers = {signing.SESSION_HEADER: session.session_id}
    answer = await gateway.http.put(target, content=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorised"


async def test_proxy_injects_the_token(gateway: Gateway, stores: Looking) -> None:
    """A user reaches OpenIM with a session alone, and the answer does not show the token."""
    session = await sign_up(gateway, "Proxied")
    envelope = await session.im("/user/get_users_info", {"userIDs": [session.user_id.hex]})
    assert envelope["data"]["usersInfo"][0]["nickname"] == "Proxied"
    assert (await stores.im_token(session.user_id) or "?") not in json.dumps(envelope)


@pytest.mark.parametrize("path", ["auth/get_user_token", "msg/search_msg", "user/get_all_users_uid", "a/../auth/x"])
async def test_proxy_refuses_what_is_not_the_users(gateway: Gateway, path: str) -> None:
    """Routes that hand out tokens or everybody's data are not passed on."""
    session = await sign_up(gateway)
    with pytest.raises(GatewayError) as refused:
        await session.im(path, {})
    assert refused.value.status in (401, 403)


@pytest.mark.parametrize("loss", ["deleted", "kicked"])
async def test_dead_token_is_renewed(gateway: Gateway, stores: Looking, loss: str) -> None:
    """A token that is gone from Redis, or that OpenIM no longer takes, is replaced on the next call."""
    session = await sign_up(gateway)
    if loss == "deleted":
        await stores.redis.delete(f"im:token:{session.user_id}")
    else:
        await stores.im.force_logout(session.user_id.hex, session.platform)
    assert (await session.im("/msg/newest_seq", {"userID": session.user_id.hex}))["errCode"] == 0
    new = await stores.im_token(session.user_id)
    assert new is not None
    assert (await stores.im.parse_token(new))["userID"] == session.user_id.hex


async def test_lost_cache_is_filled_from_postgres(gateway: Gateway, stores: Looking) -> None:
    """A session that the cache forgot still stands, and is cached again."""
    session = await sign_up(gateway)
    await stores.redis.delete(f"session:{session.session_id}")
    assert await session.friends() == []
    assert await stores.redis.exists(f"session:{session.session_id}")


async def test_logout_ends_session_and_token(gateway: Gateway, stores: Looking) -> None:
    """With the last session the imToken goes, from Redis and from OpenIM."""
    session = await sign_up(gateway)
    token = await stores.im_token(session.user_id)
    await session.logout()
    assert await stores.im_token(session.user_id) is None
    assert not await stores.redis.exists(f"session:{session.session_id}")
    with pytest.raises(Exception, match=r"150[67]"):
        await stores.im.parse_token(str(token))
    with pytest.raises(GatewayError, match="401"):
        await session.friends()


async def test_token_passes_to_the_platform_that_stays(gateway: Gateway, stores: Looking) -> None:
    """After a logout on one of two platforms the user's token belongs to the other."""
    phone = new_phone()
    stays = await gateway.sign_up(phone, "Two devices", platform=1)
    leaves = await gateway.login(phone, platform=5)
    assert leaves.user_id == stays.user_id
    await leaves.logout()
    claims = jwt.decode(await stores.im_token(stays.user_id) or "", options={"verify_signature": False})
    assert claims["PlatformID"] == 1
    assert await stays.friends() == []


async def test_second_login_on_a_platform_replaces_the_first(gateway: Gateway) -> None:
    """One session a platform, as OpenIM's own policy has it."""
    phone = new_phone()
    first = await gateway.sign_up(phone, "Same device twice")
    await gateway.login(phone)
    with pytest.raises(GatewayError, match="401"):
        await first.friends()


@pytest.mark.parametrize(
    "path", ["/internal/sign-ins", "/users/../internal/sign-ins", "/users/%2e%2e/internal/sign-ins"]
)
async def test_internal_routes_stay_internal(gateway: Gateway, path: str) -> None:
    """No public path leads to what services ask of one another."""
    session = await sign_up(gateway)
    with pytest.raises(GatewayError) as refused:
        await session.call("POST", path, {"phone": "+49301234567"})
    assert refused.value.status in (401, 404)


async def test_description_shows_what_is_forwarded(gateway: Gateway) -> None:
    """The OpenAPI description of the gateway covers the routes of the services behind it."""
    paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    assert {"/auth/login", "/friends", "/conversations/{ref}/messages"} <= set(paths)


async def test_session_hides_its_secrets(gateway: Gateway) -> None:
    """Printing a session, as a failing test does, shows no secret."""
    session: Session = await sign_up(gateway)
    assert session.secret not in repr(session)
    assert session.session_id not in repr(session)


async def test_services_refuse_strangers(config: WorldConfig, gateway: Gateway) -> None:
    """Whoever calls a service behind the gateway directly needs the services' key."""
    for url in (f"{config.user_service}/friends", f"{config.chat_service}/conversations", f"{config.push_sink}/pushes"):
        assert (await gateway.http.get(url)).status_code == 403
