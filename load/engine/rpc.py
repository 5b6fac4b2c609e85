"""What a user asks of OpenIM beside sending: where conversations stand, and what is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from picows import WSMsgType

from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer, Codec, Request
from fixtures.wire.identifiers import ReqIdentifier

_BINARY = WSMsgType.BINARY


class Dead(Exception):
    """The connection ended, or was never made, before an answer came."""


class Position(NamedTuple):
    """The newest seq of a conversation, and up to which one the asker has read it."""

    newest: int
    read: int


NOTHING_YET: Final = Position(0, 0)


class Questions:
    """The questions of one user, over whichever connection it has."""

    def __init__(self, user_id: str, codec: Codec, deadline_s: float) -> None:
        self._user_id, self._codec, self._deadline_s = user_id, codec, deadline_s
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        self._count = 0
        self._send: Callable[[WSMsgType, bytes], None] | None = None

    def begin(self, send: Callable[[WSMsgType, bytes], None]) -> None:
        """A connection stands; frames go out by `send`."""
        self._send = send

    def end(self) -> None:
        """The connection is over: nobody answers any more."""
        self._send = None
        for future in self._asked.values():
            if not future.done():
                future.set_exception(Dead("the connection ended"))
        self._asked.clear()

    def answered(self, answer: Answer) -> None:
        """An answer came; what nobody asked is left alone."""
        if (future := self._asked.pop(answer.msg_incr, None)) is not None and not future.done():
            future.set_result(answer)

    async def positions(self, conversations: list[str]) -> dict[str, Position]:
        """Where these conversations stand; absent before their first message. Raises Dead."""
        asked = pb.GetConversationsHasReadAndMaxSeqReq(userID=self._user_id, conversationIDs=conversations)
        data = await self._ask(ReqIdentifier.GET_READ_AND_MAX_SEQ, asked.SerializeToString())
        answer = pb.GetConversationsHasReadAndMaxSeqResp.FromString(data)
        return {name: Position(one.maxSeq, one.hasReadSeq) for name, one in answer.seqs.items()}

    async def pull(self, conversation: str, begin: int, end: int) -> pb.PullMsgs:
        """The messages with begin <= seq <= end. Raises Dead."""
        wanted = pb.SeqRange(conversationID=conversation, begin=begin, end=end, num=end - begin + 1)
        asked = pb.PullMessageBySeqsReq(userID=self._user_id, seqRanges=[wanted])
        data = await self._ask(ReqIdentifier.PULL_BY_RANGE, asked.SerializeToString())
        return pb.PullMessageBySeqsResp.FromString(data).msgs[conversation]

    async def _ask(self, what: ReqIdentifier, data: bytes) -> bytes:
        send = self._send
        if send is None:
            raise Dead("there is no connection")
        self._count += 1
        name = f"q{self._count}"
        future = self._asked[name] = asyncio.get_running_loop().create_future()
        send(_BINARY, self._codec.encode_request(Request(what, "", self._user_id, name, name, data)))
        try:
            async with asyncio.timeout(self._deadline_s):
                answer: Answer = await future
        except TimeoutError:
            self._asked.pop(name, None)
            raise Dead("no answer in time") from None
        if answer.err_code:
            raise Dead(f"errCode {answer.err_code} {answer.err_msg}")
        return answer.data or b""
