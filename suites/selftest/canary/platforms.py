"""A platform of a few lists, whose gateway can be told to misbehave in every way that the canary looks for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import jwt

from fixtures.clients.actions import Answer, NotOffered, Observe, OldWebSocket, PushSeen, Refused, Replay, Seen
from verifier.profile import Profile

IM_TOKEN = jwt.encode({"UserID": "u1", "PlatformID": 2}, "secret-of-nobody" * 3, algorithm="HS256")
OTHER_JWT = jwt.encode({"sub": "u1"}, "secret-of-nobody" * 3, algorithm="HS256")


@dataclass(frozen=True)
class FakeSession:
    """A signed-in canary."""

    openim_id: str


class FakePlatform:
    """`canary.options.faults` of the profile lists what goes wrong."""

    def __init__(self, profile: Profile, observe: Observe) -> None:
        assert profile.canary is not None
        self.faults = frozenset(profile.canary.options.get("faults", ()))
        self._observe = observe
        self._messages: list[Seen] = []
        self._pushes: list[PushSeen] = []
        self._ids = itertools.count(1)
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
        return FakeSession(f"id{user}")

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
        for source in ("platform", "openim")[: 2 if "pushes twice" in self.faults else 1]:
            self._pushes.append(PushSeen(f"{source}{number}", f"m{number}", "", source))
        if "pushes again" in self.faults:
            self._pushes.append(self._pushes[-1])
        if number == 3 and "answers one late" in self.faults:
            raise TimeoutError("no answer within 20 s")
        return f"m{number}"

    async def newest_seq(self, session: FakeSession, conversation: str) -> int:
        self._answer("POST /im/msg/newest_seq", b"{}", token="token in header" in self.faults)
        if "no token injected" in self.faults:
            raise Refused("ArgsError header must have token", err_code=1001)
        return len(self._messages)

    async def read(self, session: FakeSession, conversation: str, *, begin: int, end: int) -> Sequence[Seen]:
        if "silent adapter" not in self.faults:
            self._answer("POST /im/msg/pull_msg_by_seq", b"{}")
        if "unreadable" in self.faults:
            raise ConnectionError("connection reset")
        return [seen for seen in self._messages if begin <= seen.seq <= end]

    async def pushes(self, session: FakeSession) -> Sequence[PushSeen]:
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
        self._messages.append(Seen(len(self._messages) + 1, f"m{number}", text))

    def _answer(self, route: str, body: bytes, *, token: bool = False) -> None:
        if "silent adapter" not in self.faults:
            self._observe(Answer(route, 200, {"x-token": IM_TOKEN} if token else {}, body))


class_that_fails = "not callable"
