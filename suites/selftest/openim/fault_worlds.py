"""What tests of the switches share: a gateway and REST over one state, two users, and the log of what was struck."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.openim.app import create_app
from fixtures.openim.state import State
from fixtures.wire import openim_ws_pb2 as pb
from suites.selftest.openim.doubles import in_process
from suites.selftest.openim.sockets import WEB, Door, Socket, served, text_message

CHAT = "si_ann_ben"


@dataclass
class World:
    """Ann sends, ben listens; `rest` is an administrator's client, `own` calls the double's own routes."""

    state: State
    door: Door
    ann: Socket
    ben: Socket
    rest: OpenIMRest
    http: httpx.AsyncClient

    async def own(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> httpx.Response:
        """Call one of the double's own routes."""
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return await self.http.request(method, f"http://double/_double/{path}", content=content)

    async def switch(self, **settings: Any) -> None:
        """Set the switches."""
        answer = await self.own("POST", "faults", settings)
        assert answer.json()["errCode"] == 0, answer.text

    async def log(self) -> list[dict[str, Any]]:
        """What was struck."""
        entries: list[dict[str, Any]] = (await self.own("GET", "log")).json()["data"]
        return entries

    async def struck(self) -> list[tuple[str, str]]:
        """What was struck: the fault and the message's clientMsgID."""
        return [(one["fault"], one["clientMsgID"]) for one in await self.log()]

    async def say(self, *texts: str, **fields: Any) -> None:
        """Ann says these to ben, and each is acknowledged."""
        for text in texts:
            await self.ann.say(text_message("ann", "ben", text=text, **fields))

    async def stored(self, name: str = CHAT) -> list[str]:
        """The clientMsgIDs of what is stored, by seq."""
        rows = self.state.messages.of(name)
        return [rows[key].client_msg_id for key in sorted(rows, key=int)]

    async def pushed(self) -> list[str]:
        """The clientMsgIDs of what ben got since the last look."""
        return [message.clientMsgID for _, message in await self.ben.settle()]

    async def all_gone_on(self, count: int, name: str = CHAT) -> None:
        """Wait until so many are stored."""
        async with asyncio.timeout(10):
            while len(self.state.messages.of(name)) < count:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.005)

    async def pull(self, *seqs: int) -> list[pb.MsgData]:
        """What ben pulls."""
        request = pb.GetSeqMessageReq(userID="ben")
        request.conversations.add(conversationID=CHAT, seqs=seqs)
        found = pb.GetSeqMessageResp.FromString((await self.ben.call(1005, request)).data or b"")
        return list(found.msgs[CHAT].Msgs)


@contextlib.asynccontextmanager
async def world(state: State) -> AsyncIterator[World]:
    """Two connected users of one double whose switches are within reach."""
    transport = httpx.ASGITransport(create_app(state, faults=True))
    async with (
        served(state) as door,
        in_process(state, faults=True) as rest,
        httpx.AsyncClient(transport=transport) as http,
    ):
        ann, ben = await door.connect("ann", WEB), await door.connect("ben", WEB)
        yield World(state, door, ann, ben, rest, http)


def ids(*texts: str) -> list[str]:
    """The clientMsgIDs of these texts."""
    return [f"c-{text}" for text in texts]
