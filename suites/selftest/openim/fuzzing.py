"""What fuzzing of the gateway shares: the arena that it happens in, and payloads that are well formed and odd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fixtures.openim.records import Group, Member
from fixtures.openim.state import State
from fixtures.wire import openim_ws_pb2 as pb
from suites.selftest.openim.doubles import ADMIN, SECRET, Clock, Failures
from suites.selftest.openim.sockets import Door, Socket, served

FUZZ = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
LOGGERS = ("fixtures.openim", "picows", "asyncio")


class Arena:
    """A gateway with a well-behaved client on it, `good`; `attack` runs one example against it."""

    def __init__(self, runner: asyncio.Runner, failures: Failures, door: Door, good: Socket) -> None:
        self._runner = runner
        self._failures = failures
        self.door = door
        self.good = good

    def attack(self, attack: Callable[[Door], Coroutine[Any, Any, None]]) -> None:
        """Run one example; then the good client is served, the bad one is gone, and nothing was logged."""

        async def example() -> None:
            await attack(self.door)
            for _ in range(2):
                assert (await self.good.call(1004)).err_code == 1001
            for socket in self.door.opened:
                if socket is not self.good:
                    socket.abort()
            self.door.opened[:] = [self.good]
            self.good.pushes.clear()
            self.good.causes.clear()
            await self.door.gone(1)
            assert list(self.door.state.presence.connections) == ["good"]

        self._runner.run(example())
        told, self._failures.told = self._failures.told, []
        assert not told


@contextlib.contextmanager
def opened() -> Iterator[Arena]:
    """An arena, whose failures of any kind are watched from its beginning to its end."""
    failures = Failures()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(failures)
    state = State(secret=SECRET, admin_ids=[ADMIN], clock=Clock())
    gateway = contextlib.AsyncExitStack()

    async def start() -> tuple[Door, Socket]:
        door = await gateway.enter_async_context(served(state))
        state.groups.put(Group("g", "G", 1), "g")
        for name in ("bad", "good"):
            door.token(name, 5)
            state.members.put(Member("g", name, 20, 1, 2, ADMIN, ADMIN), "g", name)
        return door, await door.connect("good")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield Arena(runner, failures, *runner.run(start()))
        runner.run(gateway.aclose())
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(failures)
    assert not failures.told


TEXTS = st.sampled_from(
    ["bad", "good", "g", "", "nobody", ADMIN, "si_bad_good", "sg_g", "n_g", "\x00", "é😀", "a" * 300]
)
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 6)
SMALL = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 1, 2, 3, 4, 101, 113, 1201, 1501, 2101, 2200])
BOOLS = st.dictionaries(
    st.sampled_from(["history", "isNotNotification", "senderSync", "isSendMsg", "", "x"]), st.booleans()
)
SENT = st.builds(
    pb.MsgData,
    sendID=st.just("bad") | TEXTS,
    recvID=TEXTS,
    groupID=TEXTS,
    clientMsgID=TEXTS,
    senderPlatformID=SMALL,
    senderNickname=TEXTS,
    sessionType=st.sampled_from([1, 1, 3, 3, 4]) | SMALL,
    msgFrom=SMALL,
    contentType=SMALL,
    content=st.binary(max_size=40),
    seq=WHOLE,
    sendTime=st.just(0) | WHOLE,
    createTime=WHOLE,
    status=SMALL,
    isRead=st.booleans(),
    options=BOOLS,
    offlinePushInfo=st.none() | st.builds(pb.OfflinePushInfo, title=TEXTS, signalInfo=TEXTS),
    atUserIDList=st.lists(TEXTS, max_size=3),
    attachedInfo=TEXTS,
    ex=TEXTS,
)
RANGES = st.lists(st.builds(pb.SeqRange, conversationID=TEXTS, begin=WHOLE, end=WHOLE, num=WHOLE), max_size=3)
SEQS = st.lists(
    st.builds(pb.ConversationSeqs, conversationID=TEXTS, seqs=st.lists(WHOLE, max_size=5)),
    max_size=3,
)
MESSAGES = st.one_of(
    SENT,
    SENT,
    st.builds(pb.GetMaxSeqReq, userID=TEXTS),
    st.builds(pb.PullMessageBySeqsReq, userID=TEXTS, seqRanges=RANGES, order=st.integers(0, 1)),
    st.builds(pb.GetSeqMessageReq, userID=TEXTS, conversations=SEQS, order=st.integers(0, 1)),
    st.builds(
        pb.GetConversationsHasReadAndMaxSeqReq,
        userID=TEXTS,
        conversationIDs=st.lists(TEXTS, max_size=3),
        returnPinned=st.booleans(),
    ),
    st.builds(pb.GetLastMessageReq, userID=TEXTS, conversationIDs=st.lists(TEXTS, max_size=3)),
    st.builds(
        pb.SubUserOnlineStatus,
        subscribeUserID=st.lists(TEXTS, max_size=3),
        unsubscribeUserID=st.lists(TEXTS, max_size=3),
    ),
)
KNOWN = [1001, 1002, 1003, 1004, 1005, 1006, 1007, 2003, 2004, 2005]
CALLS = st.tuples(
    st.sampled_from([1003, *KNOWN]), MESSAGES.map(lambda one: one.SerializeToString()) | st.binary(max_size=60)
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
