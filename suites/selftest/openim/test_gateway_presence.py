"""Who is online, in the background, followed, logged out or kicked (recorded sessions 17 to 19, 27 to 29, 37)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fixtures.openim import tokens
from fixtures.openim.gateway.server import GatewaySettings
from fixtures.openim.multi_login import MultiLogin
from fixtures.openim.state import State
from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer
from suites.selftest.openim.doubles import ADMIN, SECRET, Clock, in_process
from suites.selftest.openim.sockets import ANDROID, IOS, WEB, WINDOWS, Door, Socket, served, text_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]


@pytest.mark.parametrize("platform", [IOS, ANDROID, WEB, WINDOWS])
async def test_only_ios_gets_no_pushes_in_the_background(state: State, platform: int) -> None:
    """The answer has no data; nothing is pushed later for what was missed (session 27)."""
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben", platform)
        found = await ben.call(2004, pb.SetAppBackgroundStatusReq(userID="ben", isBackground=True))
        assert (found.err_code, found.data) == (0, None)
        await ann.say(text_message("ann", "ben", text="one"))
        await ben.call(2004, pb.SetAppBackgroundStatusReq(userID="ben", isBackground=False))
        await ann.say(text_message("ann", "ben", text="two"))
        assert [message.seq for _, message in await ben.settle()] == ([2] if platform == IOS else [1, 2])


async def test_a_connection_begins_in_the_foreground(state: State) -> None:
    """Whatever isBackground says in the handshake (session 27)."""
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben", IOS, isBackground="true")
        await ann.say(text_message("ann", "ben"))
        assert len(await ben.settle()) == 1


def online(found: Answer) -> list[tuple[str, list[int]]]:
    """What an answer or a notice of 2005 tells."""
    assert (found.req_identifier, found.err_code) == (2005, 0)
    tips = pb.SubUserOnlineStatusTips.FromString(found.data or b"")
    return [(one.userID, list(one.onlinePlatformIDs)) for one in tips.subscribers]


async def test_subscribing_tells_who_is_online_and_no_more(state: State) -> None:
    """Each user of the request, repeats too, unknown ones without platforms; changes are not told (session 28)."""
    async with served(state) as door:
        ann, ben = await door.connect("ann"), await door.connect("ben", IOS)
        await door.connect("ben", WEB)
        asked = ["ben", "nobody", "ben", "ann"]
        found = await ann.call(2005, pb.SubUserOnlineStatus(subscribeUserID=asked))
        assert online(found) == [("ben", [IOS, WEB]), ("nobody", []), ("ben", [IOS, WEB]), ("ann", [WEB])]
        assert online(await ann.call(2005, pb.SubUserOnlineStatus(unsubscribeUserID=["ben"]))) == []
        await ann.call(2005, pb.SubUserOnlineStatus(subscribeUserID=["ben"]))
        await ben.bye()
        await door.gone(2)
        assert await ann.settle() == []


async def test_followers_are_told_of_changes_where_that_is_on(state: State) -> None:
    """With several processes a change arrives as an unasked 2005 without msgIncr; a second device alike is none."""
    async with served(state, GatewaySettings(presence_notices=True)) as door:
        ann, _ = await door.connect("ann"), await door.connect("cyd")
        await ann.call(2005, pb.SubUserOnlineStatus(subscribeUserID=["ben"]))
        ben = await door.connect("ben", IOS)
        twin = await door.connect("ben", IOS)
        notice = await ann.envelope()
        assert (notice.msg_incr, notice.operation_id, online(notice)) == ("", "", [("ben", [IOS])])
        await ben.bye()
        await twin.bye()
        assert online(await ann.envelope()) == [("ben", [])]
        await ann.call(2005, pb.SubUserOnlineStatus(unsubscribeUserID=["ben"]))
        await door.connect("ben", IOS)
        assert await ann.settle() == []


@pytest.mark.parametrize("data", [b"", b"\xff\xff", pb.DelUserPushTokenReq(userID="ann", platformID=5)])
async def test_logging_out_is_answered_and_ends_tcp(state: State, data: bytes | pb.DelUserPushTokenReq) -> None:
    """Even with a bad payload; the token stays valid (sessions 23 and 29)."""
    async with served(state) as door:
        ann, other = await door.connect("ann"), await door.connect("ann", IOS)
        found = await ann.call(2003, data)
        assert found.err_code == (500 if data == b"\xff\xff" else 0)
        assert await ann.end() == []
        assert (await (await door.connect("ann")).call(1004)).err_code == 1001
        assert (await other.call(1004)).err_code == 1001


async def kicked(socket: Socket) -> bool:
    """Whether a connection was told 2002, all else empty, and TCP ended; otherwise it still answers."""
    incr = socket.ask(1004)
    found = await socket.envelope()
    if found.msg_incr == incr:
        return False
    assert found == Answer(2002)
    assert [opcode for opcode, _ in await socket.end()] == []
    return True


async def enter(door: Door, clock: Clock, platforms: Sequence[int]) -> list[Socket]:
    """One user logs in on these platforms in turn, each time with a new token."""
    opened = []
    for platform in platforms:
        clock.now_s += 2
        door.token("ann", platform)
        tokens.issue(door.state, "ann", platform)
        opened.append(await door.connect("ann", platform))
    return opened


# By policy: what the earlier logins were, the last one, and which of the earlier ones it ends.
KICKS = [
    (0, [WEB, IOS], WEB, []),
    (1, [WEB, IOS, WINDOWS], WEB, [0]),
    (1, [WEB, IOS], WINDOWS, []),
    (4, [WEB, IOS, WINDOWS], ANDROID, [1]),
    (4, [WEB, IOS], 4, []),
    (5, [WINDOWS, WEB], IOS, [1]),
    (5, [IOS], WINDOWS, []),
    (5, [WINDOWS], 4, []),
]


@pytest.mark.parametrize(("policy", "earlier", "last", "ended"), KICKS)
async def test_a_new_login_ends_what_its_policy_says(
    clock: Clock, policy: int, earlier: list[int], last: int, ended: list[int]
) -> None:
    """2002 and the end of TCP for those, nothing for others (session 17; 0, 4 and 5 by the server's source)."""
    state = State(secret=SECRET, admin_ids=[ADMIN], clock=clock, multi_login=MultiLogin(policy=policy))
    async with served(state) as door:
        opened = await enter(door, clock, earlier)
        (new,) = await enter(door, clock, [last])
        assert [number for number, socket in enumerate(opened) if await kicked(socket)] == ended
        assert not await kicked(new)


@pytest.mark.parametrize("policy", [0, 1, 4, 5])
async def test_the_same_token_never_ends_a_connection(clock: Clock, policy: int) -> None:
    """Both stay and both get pushes (session 18)."""
    state = State(secret=SECRET, admin_ids=[ADMIN], clock=clock, multi_login=MultiLogin(policy=policy))
    async with served(state) as door:
        first, second = await door.connect("ann"), await door.connect("ann")
        await first.say(text_message("ann", "ann"))
        assert [len(await one.settle()) for one in (first, second)] == [1, 1]


async def test_a_kick_makes_all_older_tokens_of_the_platform_useless(state: State, clock: Clock) -> None:
    """1506 for each of them from then on; other platforms' tokens stay (session 17)."""
    async with served(state) as door, in_process(state) as im:
        web, phone = await enter(door, clock, [WEB, IOS])
        old = door.token("ann", WEB)
        await enter(door, clock, [WEB])
        assert await kicked(web)
        assert not await kicked(phone)
        with pytest.raises(Exception, match="1506"):
            await im.parse_token(old)


async def test_force_logout_ends_a_platform_and_its_tokens(state: State, clock: Clock) -> None:
    """2002 and the end of TCP on that platform alone; its token is 1506 (sessions 37 and 07)."""
    async with served(state) as door, in_process(state) as im:
        web, phone = await enter(door, clock, [WEB, IOS])
        old = door.token("ann", WEB)
        await im.call("/auth/force_logout", {"userID": "ann", "platformID": WEB})
        assert await kicked(web)
        assert not await kicked(phone)
        with pytest.raises(Exception, match="1506"):
            await im.parse_token(old)


async def test_rest_shows_who_is_connected(state: State) -> None:
    """Presence follows the connections, however they end."""
    async with served(state) as door:
        sockets = [await door.connect("ann"), await door.connect("ann", IOS), await door.connect("ben")]
        assert [one.platform_id for one in state.presence.of("ann")] == [WEB, IOS]
        sockets[0].abort()
        await sockets[2].bye()
        await door.gone(1)
        assert [one.platform_id for one in state.presence.of("ann")] == [IOS]
        assert not state.presence.of("ben")
        await sockets[1].call(2004, pb.SetAppBackgroundStatusReq(userID="ann", isBackground=True))
        assert state.presence.of("ann")[0].is_background
