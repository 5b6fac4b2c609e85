"""The requests of a user other than sends: positions of conversations, and their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from picows import WSMsgType

from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import Answer, Codec, Request
from fixtures.wire.identifiers import ReqIdentifier

_BINARY = WSMsgType.BINARY


class ConnectionLost(Exception):
    """There is no connection, it ended before an answer came, or the request was refused."""


class Position(NamedTuple):
    """The newest seq of a conversation, and the seq up to which the user has read it."""

    newest: int
    read: int


NOTHING_YET: Final = Position(0, 0)


class RpcClient:
    """The requests of one user, over the connection that it has at the moment."""

    def __init__(self, user_id: str, codec: Codec, deadline_s: float) -> None:
        self._user_id, self._codec, self._deadline_s = user_id, codec, deadline_s
        self._open: dict[str, asyncio.Future[Answer]] = {}
        self._count = 0
        self._send: Callable[[WSMsgType, bytes], None] | None = None

    def connected(self, send: Callable[[WSMsgType, bytes], None]) -> None:
        """There is a connection; `send` sends a frame over it."""
        self._send = send

    def disconnected(self) -> None:
        """The connection ended: open requests raise ConnectionLost."""
        self._send = None
        for future in self._open.values():
            if not future.done():
                future.set_exception(ConnectionLost("the connection ended"))
        self._open.clear()

    def answered(self, answer: Answer) -> None:
        """An answer came; one that belongs to no open request is ignored."""
        if (future := self._open.pop(answer.msg_incr, None)) is not None and not future.done():
            future.set_result(answer)

    async def positions(self, conversations: list[str]) -> dict[str, Position]:
        """The positions of these conversations; one without a message is absent. Raises ConnectionLost."""
        request = pb.GetConversationsHasReadAndMaxSeqReq(userID=self._user_id, conversationIDs=conversations)
        data = await self._call(ReqIdentifier.GET_READ_AND_MAX_SEQ, request.SerializeToString())
        answer = pb.GetConversationsHasReadAndMaxSeqResp.FromString(data)
        return {name: Position(one.maxSeq, one.hasReadSeq) for name, one in answer.seqs.items()}

    async def pull(self, conversation: str, begin: int, end: int) -> pb.PullMsgs:
        """The messages with begin <= seq <= end. Raises ConnectionLost."""
        seqs = pb.SeqRange(conversationID=conversation, begin=begin, end=end, num=end - begin + 1)
        request = pb.PullMessageBySeqsReq(userID=self._user_id, seqRanges=[seqs])
        data = await self._call(ReqIdentifier.PULL_BY_RANGE, request.SerializeToString())
        return pb.PullMessageBySeqsResp.FromString(data).msgs[conversation]

    async def _call(self, what: ReqIdentifier, data: bytes) -> bytes:
        send = self._send
        if send is None:
            raise ConnectionLost("there is no connection")
        self._count += 1
        name = f"q{self._count}"
        future = self._open[name] = asyncio.get_running_loop().create_future()
        send(_BINARY, self._codec.encode_request(Request(what, "", self._user_id, name, name, data)))
        try:
            async with asyncio.timeout(self._deadline_s):
                answer: Answer = await future
        except TimeoutError:
            self._open.pop(name, None)
            raise ConnectionLost("no answer in time") from None
        if answer.err_code:
            raise ConnectionLost(f"errCode {answer.err_code} {answer.err_msg}")
        return answer.data or b""
