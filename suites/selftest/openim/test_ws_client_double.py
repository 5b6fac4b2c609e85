"""Our WebSocket client against the double's gateway, straight: every typed request, both encodings, with and without gzip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import pytest

from fixtures.clients.openim_calls import OpenIMError
from fixtures.clients.openim_rest import OpenIMRest
from fixtures.clients.openim_ws import WARM_UP_S, OpenIMWebSocket
from suites import match, must
from suites.selftest.openim.doubles import Running, running

pytestmark = pytest.mark.anyio

IOS, ANDROID, WEB = 1, 2, 5
ENCODINGS = [{"sdk_type": sdk, "gzipped": gzipped} for sdk in ("js", "go") for gzipped in (False, True)]
_users = count(1)


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One double for all."""
    with running(tmp_path_factory.mktemp("double") / "log") as found:
        yield found


@pytest.fixture
async def api(double: Running) -> AsyncIterator[OpenIMRest]:
    """Its administrator."""
    async with double.client() as client:
        yield client


async def people(api: OpenIMRest, number: int) -> list[str]:
    """New users."""
    names = [f"u{next(_users)}" for _ in range(number)]
    await api.user_register([{"userID": name, "nickname": name} for name in names])
    return names


async def connect(double: Running, api: OpenIMRest, user: str, platform: int = WEB, **options: Any) -> OpenIMWebSocket:
    """A connection of a user."""
    token = (await api.get_user_token(user, platform)).token
    url = double.ws_url.replace("http", "ws")
    return await OpenIMWebSocket.connect(url, user_id=user, platform_id=platform, token=token, **options)


@asynccontextmanager
async def online(double: Running, api: OpenIMRest, *users: str, **options: Any) -> AsyncIterator[list[OpenIMWebSocket]]:
    """Connections of several users, warmed up."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(await connect(double, api, user, **options)) for user in users]
        await asyncio.sleep(WARM_UP_S)
        yield found


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_request_is_answered_typed(double: Running, api: OpenIMRest, encoding: dict[str, Any]) -> None:
    """Send, pull by range and by seq, seqs, last messages, presence, background: in each encoding the same."""
    alice, bob = await people(api, 2)
    conversation = "si_" + "_".join(sorted((alice, bob)))
    async with online(double, api, alice, bob, **encoding) as (hers, his):
        ack = await hers.send_text("one ü 🦊", recv_id=bob, ex="marker")
        second = await his.send_message(b"\x00\xff no JSON", recv_id=alice, content_type=110, client_msg_id="mine")
        assert second.client_msg_id == "mine"
        async with asyncio.timeout(10):
            pushed = [[await anext(one.pushes()) for _ in range(2)] for one in (hers, his)]
        for pushes in pushed:
            assert [(push.message.seq, push.message.server_msg_id, push.notification) for push in pushes] == [
                (1, ack.server_msg_id, False),
                (2, second.server_msg_id, False),
            ]
        first = pushed[1][0].message
        assert (first.conversation_id, first.text, first.ex, first.send_id) == (
            conversation,
            "one ü 🦊",
            "marker",
            alice,
        )
        assert (first.send_time_ms, first.status) == (ack.send_time_ms, 2)
        assert (pushed[0][1].message.content, pushed[0][1].message.text) == (b"\x00\xff no JSON", "")
        assert [one.seq for one in (await his.pull_range(conversation, begin=1, end=9)).messages] == [1, 2]
        assert [one.seq for one in (await his.pull_range(conversation, begin=1, end=2, limit=1)).messages] == [2]
        assert (await his.pull_range("si_nobody_x", begin=1, end=2)).messages == ()
        by_seq = await his.pull_seqs({conversation: [2]})
        assert [one.content for one in by_seq[conversation].messages] == [b"\x00\xff no JSON"]
        assert (await his.max_seqs())[conversation] == 2
        state = (await his.read_and_max_seqs([conversation]))[conversation]
        assert state.max_seq == 2
        assert state.max_seq_time_ms >= second.send_time_ms  # stored after it was sent
        assert (await his.last_messages([conversation, "si_nobody_x"])).keys() == {conversation}
        assert await hers.subscribe_online([bob, "nobody"]) == {bob: (WEB,), "nobody": ()}
        assert await hers.subscribe_online([], unsubscribe=[bob]) == {}
        await hers.set_background(background=True)
        assert [hers.unexpected, his.unexpected] == [0, 0]


async def test_a_group_hears_its_members_and_what_happens_to_it(double: Running, api: OpenIMRest) -> None:
    """Everybody gets a group's message once, the sender too; its creation comes as message and as notification."""
    owner, member = await people(api, 2)
    async with online(double, api, owner, member) as (his, hers):
        group = (await api.create_group(owner, name="G", member_user_ids=[member]))["groupID"]
        ack = await hers.send_text("to all", group_id=group)

        async def until_text(socket: OpenIMWebSocket) -> list[tuple[str, int, bool]]:
            seen = []
            async for push in socket.pushes():
                seen.append((push.message.conversation_id, push.message.content_type, push.notification))
                if push.message.server_msg_id == ack.server_msg_id:
                    return seen
            raise AssertionError("the connection ended")

        async with asyncio.timeout(10):
            for socket in (his, hers):
                seen = await until_text(socket)
                assert seen[-1] == (f"sg_{group}", 101, False)
                assert {(f"sg_{group}", 1501, False), (f"n_{group}", 1501, True)} <= set(seen[:-1])


async def test_refusals_are_openims(double: Running, api: OpenIMRest) -> None:
    """In the handshake, with and without greeting, and in a request; after a refused request the connection goes on."""
    alice, bob = await people(api, 2)
    token, url = (await api.get_user_token(bob, WEB)).token, double.ws_url.replace("http", "ws")
    for bad, code in (("no-jwt", 1503), (token, 1502), ("", 1602)):
        for greeting in (False, True):
            with pytest.raises(OpenIMError) as refused:
                await OpenIMWebSocket.connect(url, user_id=alice, platform_id=WEB, greeting=greeting, token=bad)
            assert refused.value.err_code == code
            assert token not in str(refused.value)
    async with await connect(double, api, alice) as socket:
        for sent, code in (({"recv_id": "nobody"}, 1004), ({"group_id": "no-group"}, 500)):
            with pytest.raises(OpenIMError) as refused:
                await socket.send_text("x", **sent)
            assert refused.value.err_code == code
        assert await socket.max_seqs() == {}


async def test_a_logout_is_answered_and_ends_the_connection(double: Running, api: OpenIMRest) -> None:
    """2003, then TCP ends; that is no kick, and the token still connects."""
    (alice,) = await people(api, 1)
    token, url = (await api.get_user_token(alice, WEB)).token, double.ws_url.replace("http", "ws")
    for _ in range(2):
        socket = await OpenIMWebSocket.connect(url, user_id=alice, platform_id=WEB, token=token)
        ended = await socket.logout()
        assert (ended.code, ended.by, socket.kicked) == (None, "peer", False)


async def test_a_second_login_kicks_the_first(double: Running, api: OpenIMRest) -> None:
    """Another token on the same platform: 2002 and the end for the older connection, and for nobody else."""
    (alice,) = await people(api, 1)
    old, elsewhere = await connect(double, api, alice), await connect(double, api, alice, ANDROID)
    # Tokens of the same second are the same token (trap R7).
    await asyncio.sleep(1.1)
    new = await connect(double, api, alice)
    async with asyncio.timeout(10):
        await old.wait_ended()
    assert (old.kicked, new.ended, elsewhere.ended) == (True, None, None)
    await new.close()
    await elsewhere.close()


async def test_ios_in_background_hears_nothing(double: Running, api: OpenIMRest) -> None:
    """Pushes stop while the app is in background and are not repeated when it returns; the history has them."""
    alice, bob = await people(api, 2)
    async with online(double, api, alice, bob, platform=IOS) as (hers, his):
        await his.set_background(background=True)
        await hers.send_text("unheard", recv_id=bob)
        conversation = "si_" + "_".join(sorted((alice, bob)))

        async def stored() -> int:
            return (await his.max_seqs()).get(conversation, 0)

        await must.eventually(stored, match.equal(1), what="what is stored")
        await his.set_background(background=False)
        await hers.send_text("heard", recv_id=bob)
        async with asyncio.timeout(10):
            assert (await anext(his.pushes())).message.text == "heard"
        assert [one.text for one in (await his.pull_range(conversation, begin=1, end=9)).messages] == [
            "unheard",
            "heard",
        ]
