"""A fake platform of a few lists, whose gateway can be made to misbehave in every way that the canary detects."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import jwt

from fixtures.clients.actions import (
    Answer,
    NotOffered,
    Observe,
    OfflinePush,
    OldWebSocket,
    OnPush,
    PushedMessage,
    ReadMessage,
    Refused,
    Replay,
    WebhookCall,
)
from verifier.profile import Profile

IM_TOKEN = jwt.encode({"UserID": "u1", "PlatformID": 2}, "secret-of-nobody" * 3, algorithm="HS256")
OTHER_JWT = jwt.encode({"sub": "u1"}, "secret-of-nobody" * 3, algorithm="HS256")


@dataclass(frozen=True)
class FakeSession:
    """A signed-in canary. `number` distinguishes the logins of one user."""

    openim_id: str
    number: int = 0


class FakePlatform:
    """The faults are listed in `canary.options.faults` of the profile."""

    def __init__(self, profile: Profile, observe: Observe) -> None:
        assert profile.canary is not None
        self.faults = frozenset(profile.canary.options.get("faults", ()))
        self._observe = observe
        self._messages: list[ReadMessage] = []
        self._pushes: list[OfflinePush] = []
        self._ids = itertools.count(1)
        self._logins: dict[str, int] = {}
        self.closed = False

    async def log_in(self, user: str, *, platform: int) -> FakeSession:
        if "hangs" in self.faults:
            await asyncio.sleep(3600)
        if "unreachable" in self.faults:
            raise ConnectionError("connection refused")
        if "banned" in self.faults:
            self._answer("POST /auth/login", b"{}")
            raise Refused("this user is banned")
        shown = {"token in login": IM_TOKEN, "other jwt in login": OTHER_JWT}
        body = next((token for fault, token in shown.items() if fault in self.faults), "")
        self._answer("POST /auth/login", f'{{"x": "{body}"}}'.encode())
        if "second login hangs" in self.faults and platform == 5:
            raise TimeoutError("no answer within 20 s")
        self._logins[f"id{user}"] = self._logins.get(f"id{user}", 0) + 1
        return FakeSession(f"id{user}", self._logins[f"id{user}"])

    async def conversation(self, first: FakeSession, second: FakeSession) -> str:
        return f"si_{first.openim_id}_{second.openim_id}"

    async def send(self, session: FakeSession, conversation: str, text: str) -> str:
        number = next(self._ids)
        if number == 3 and "refuses one" in self.faults:
            raise Refused("message is not sent")
        if not (number == 3 and "loses one" in self.faults):
            self._store(number, text)
        if number == 2 and "doubles one" in self.faults:
            self._store(number, text)
        self._push(number)
        if number == 3 and "answers one late" in self.faults:
            raise TimeoutError("no answer within 20 s")
        return f"m{number}"

    def _push(self, number: int) -> None:
        for source in ("platform", "openim")[: 2 if "pushes twice" in self.faults else 1]:
            self._pushes.append(OfflinePush(f"{source}{number}", f"m{number}", "", source))
        if "pushes again" in self.faults:
            self._pushes.append(self._pushes[-1])

    async def newest_seq(self, session: FakeSession, conversation: str) -> int:
        self._answer("POST /im/msg/newest_seq", b"{}", token="token in header" in self.faults)
        if "second login kicks" in self.faults and session.number < self._logins[session.openim_id]:
            raise Refused("TokenKickedError", err_code=1506)
        if "no token injected" in self.faults:
            raise Refused("ArgsError header must have token", err_code=1001)
        return len(self._messages)

    async def read(self, session: FakeSession, conversation: str, *, begin: int, end: int) -> Sequence[ReadMessage]:
        if "silent adapter" not in self.faults:
            self._answer("POST /im/msg/pull_msg_by_seq", b"{}")
        if "unreadable" in self.faults:
            raise ConnectionError("connection reset")
        return [seen for seen in self._messages if begin <= seen.seq <= end]

    async def pushes(self, session: FakeSession) -> Sequence[OfflinePush]:
        if "no sink" in self.faults:
            raise NotOffered("no push sink")
        return list(self._pushes)

    async def replay(self, session: FakeSession) -> Replay:
        if "no nonces" in self.faults:
            raise NotOffered("no nonces")
        return Replay("POST /x", 200, 200 if "takes replays" in self.faults else 409)

    async def listen_to_old_websocket(self, session: FakeSession, *, listen_s: float) -> OldWebSocket:
        if "old websocket delivers" in self.faults:
            return OldWebSocket("ws://old", "", listened_s=listen_s, delivered=2)
        return OldWebSocket("ws://old", "HTTP 403")

    async def close(self) -> None:
        self.closed = True

    def _store(self, number: int, text: str) -> None:
        self._messages.append(ReadMessage(len(self._messages) + 1, f"m{number}", text))

    def _answer(self, route: str, body: bytes, *, token: bool = False, socket: bool = False) -> None:
        if "silent adapter" not in self.faults:
            self._observe(Answer(route, 200, {"x-token": IM_TOKEN} if token else {}, body, socket))


class FakeHookedPlatform(FakePlatform):
    """The same, with a receiver of webhooks that can be queried."""

    def __init__(self, profile: Profile, observe: Observe) -> None:
        super().__init__(profile, observe)
        self._hooks: list[WebhookCall] = []
        self._refused: set[str] = set()

    async def send(self, session: FakeSession, conversation: str, text: str) -> str:
        if text in self._refused and "ignores hooks" not in self.faults:
            raise Refused("refused by a hook", err_code=1004)
        message_id = await super().send(session, conversation, text)
        if "hooks off" not in self.faults and not ("loses a hook" in self.faults and message_id == "m2"):
            self._hooks.append(WebhookCall("callbackAfterSendSingleMsgCommand", "", message_id, text))
        return message_id

    async def webhooks(self) -> Sequence[WebhookCall]:
        if "receiver away" in self.faults:
            raise ConnectionError("connection refused")
        return list(self._hooks)

    async def refuse_next(self, text: str) -> None:
        if "cannot refuse" in self.faults:
            raise NotOffered("the receiver takes no orders")
        self._refused.add(text)


class FakeSocketPlatform(FakePlatform):
    """The same, with OpenIM's WebSocket: connected users are pushed every message, and devices nothing."""

    def __init__(self, profile: Profile, observe: Observe) -> None:
        super().__init__(profile, observe)
        self._connections: list[FakeConnection] = []

    async def connect(self, session: FakeSession, on_push: OnPush) -> FakeConnection:
        if "no websocket" in self.faults:
            raise NotOffered("no websocket")
        if "websocket away" in self.faults:
            raise ConnectionError("connection refused")
        self._answer("GET /ws", b"", token="token in handshake" in self.faults, socket=True)
        if "refuses websocket" in self.faults:
            raise Refused("HTTP 403 forbidden")
        if "dead token at websocket" in self.faults:
            raise Refused("TokenNotExistError", err_code=1507)
        self._connections.append(FakeConnection(self, session, on_push))
        return self._connections[-1]

    async def connect_as(self, session: FakeSession, other: FakeSession) -> str:
        if "no websocket" in self.faults:
            raise NotOffered("no websocket")
        self._answer("GET /ws", b"", socket=True)
        return "" if "believes anybody" in self.faults else "connected as itself"

    def _store(self, number: int, text: str) -> None:
        super()._store(number, text)
        for connection in self._connections:
            connection.push(self._messages[-1], number)

    def _push(self, number: int) -> None:
        if "ours and openim's" in self.faults and number == 2:
            super()._push(number)


class FakeConnection:
    """One connection to the fake OpenIM."""

    def __init__(self, platform: FakeSocketPlatform, session: FakeSession, on_push: OnPush) -> None:
        self._platform = platform
        self._session = session
        self._on_push = on_push
        self.ended = ""

    def push(self, seen: ReadMessage, number: int) -> None:
        faults = self._platform.faults
        self._platform._answer("frame", IM_TOKEN.encode() if "token in frame" in faults else b"", socket=True)
        if "drops the connection" in faults and number == 3:
            self.ended = "the server ended the connection"
        times = 0 if self.ended or ("misses a push" in faults and number == 2) else 1
        for _ in range(times + ("pushes twice over one connection" in faults and number == 2)):
            self._on_push(PushedMessage("si_ida_idb", seen.seq, seen.message_id, seen.text))

    async def send(self, conversation: str, text: str) -> str:
        if self.ended:
            raise ConnectionError(self.ended)
        return await self._platform.send(self._session, conversation, text)

    async def newest_seq(self, conversation: str) -> int:
        self._platform._answer("frame", b"", socket=True)
        return len(self._platform._messages)

    async def read(self, conversation: str, *, begin: int, end: int) -> Sequence[ReadMessage]:
        self._platform._answer("frame", b"", socket=True)
        return [seen for seen in self._platform._messages if begin <= seen.seq <= end]

    async def close(self) -> None:
        pass


class_that_fails = "not callable"
