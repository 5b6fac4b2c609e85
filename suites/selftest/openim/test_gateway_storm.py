"""Storms: a thousand connections come and go, politely and not, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections import Counter
from pathlib import Path

import psutil
import pytest

from fixtures.openim.gateway.connection import Connection
from fixtures.openim.state import State
from fixtures.wire.envelope import Request, codec
from suites.selftest.openim.doubles import running
from suites.selftest.openim.sockets import BINARY, UPGRADE, Address, Door, frame, served, text_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_failures")]

CONNECTIONS = 1_000
AT_ONCE = 200
ROUNDS = 3


@pytest.fixture(autouse=True)
def _enough_files() -> None:
    """Both ends of a thousand connections are files; the limit is raised as far as that needs."""
    needed = 4 * CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        assert hard >= needed, f"ulimit -Hn is {hard}: a storm of {CONNECTIONS} connections needs {needed}"
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def polite(door: Door, user_id: str) -> None:
    """Connect, ask, close as one should."""
    socket = await door.connect(user_id)
    assert (await socket.call(1004)).err_code == 1001
    await socket.bye()


async def aborted(door: Door, user_id: str) -> None:
    """Connect, and be gone while an answer is on its way."""
    socket = await door.connect(user_id, sdk="go")
    socket.ask(1003, text_message(user_id, user_id))
    socket.abort()


async def mid_handshake(door: Door, user_id: str) -> None:
    """Be gone in the middle of the request's head, sometimes before its first byte."""
    socket = await door.raw()
    head = f"GET /?sendID={user_id} HTTP/1.1\r\n" + "\r\n".join(UPGRADE)
    socket.write(head.encode()[: (len(user_id) * 37) % len(head)])
    await asyncio.sleep(0)
    socket.abort()


async def mid_frame(door: Door, user_id: str) -> None:
    """Be gone in the middle of a frame, or of a message in several frames."""
    socket = await door.connect(user_id)
    request = codec("js").encode_request(Request(1004, send_id=user_id))
    socket.write(frame(BINARY, request[:10], fin=False) + frame(BINARY, request)[:-5])
    await asyncio.sleep(0)
    socket.abort()


WAYS = (polite, aborted, mid_handshake, mid_frame)


async def storm(door: Door) -> None:
    """A thousand connections in all ways; afterwards the hub and presence are empty."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with limit:
            await WAYS[number % len(WAYS)](door, f"u{number % 40}" + "x" * (number % 7))

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    await door.gone()
    assert not door.state.presence.connections
    door.opened.clear()


def held() -> Counter[str]:
    """What the process holds: objects by type, and open files."""
    gc.collect()
    counted = Counter(type(one).__name__ for one in gc.get_objects())
    counted["files"] = psutil.Process().num_fds()
    return counted


async def test_nothing_of_a_storm_stays_behind(state: State) -> None:
    """After each of several rounds: no connection, task, transport, timer or file more than before it."""
    async with served(state) as door:
        await storm(door)
        before, rss_bytes = held(), psutil.Process().memory_info().rss
        for _ in range(ROUNDS - 1):
            state.messages.clear()
            await storm(door)
        state.messages.clear()
        async with asyncio.timeout(10):
            while held()["files"] > before["files"]:  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.02)
        after = held()
        grown = {name: count - before[name] for name, count in after.items() if count - before[name] > 50}
        assert not grown
        assert after[Connection.__name__] <= 1  # the one that the watch over heartbeats looked at last
        assert psutil.Process().memory_info().rss - rss_bytes < 32 << 20
        await polite(door, "last")


async def test_a_process_serves_a_thousand_at_once(tmp_path: Path) -> None:
    """All are connected together, each is answered, a push reaches all of a user's; dropped, nothing stays behind."""
    names = [f"u{number}" for number in range(20)]
    with running(log := tmp_path / "log") as double:
        process = psutil.Process(double.process.pid)
        async with double.client() as rest:
            await rest.user_register([{"userID": name, "nickname": name} for name in names])
            tokens = {name: (await rest.get_user_token(name, 5)).token for name in names}
            before = process.num_fds()
            door = Address(port=int(double.ws_url.rsplit(":", 1)[1]))
            sockets = []
            for start in range(0, CONNECTIONS, AT_ONCE):
                sockets += await asyncio.gather(
                    *(door.enter(parameters(names[number % 20], tokens)) for number in range(start, start + AT_ONCE))
                )
            answers = await asyncio.gather(*(socket.call(1004) for socket in sockets))
            assert {one.err_code for one in answers} == {1001}
            await sockets[0].say(text_message("u0", "u1"))
            await asyncio.sleep(0.5)  # a message waits in the queue between its ack and its pushes
            pushed = await asyncio.gather(*(socket.settle() for socket in sockets))
            assert [len(one) for one in pushed] == [int(number % 20 < 2) for number in range(CONNECTIONS)]
            for number, socket in enumerate(sockets):
                if number % 2:
                    socket.abort()
            await asyncio.gather(*(socket.bye() for number, socket in enumerate(sockets) if not number % 2))
            async with asyncio.timeout(10):
                while process.num_fds() > before:  # noqa: ASYNC110 - the process tells nobody
                    await asyncio.sleep(0.02)
            shown = await rest.call("/user/get_users_online_status", {"userIDs": names})
            assert {one["status"] for one in shown} == {0}
    assert "Traceback" not in log.read_text()
    assert "failed" not in log.read_text()


def parameters(user_id: str, tokens: dict[str, str]) -> dict[str, str]:
    """The query of a web client."""
    return {
        "sendID": user_id,
        "token": tokens[user_id],
        "platformID": "5",
        "operationID": "op",
        "isBackground": "false",
        "sdkType": "js",
    }
