"""A locustfile for comparison: locust users with websocket-client, a greenlet and a blocking socket for each."""

from __future__ import annotations

import os
import time
from itertools import count

import websocket
from locust import User, task

from fixtures.wire import openim_ws_pb2 as pb
from fixtures.wire.envelope import JSON, Request
from fixtures.wire.identifiers import ReqIdentifier
from load.bench.ours import TEXT
from load.engine.frames import content_of

_CONTENT = content_of(TEXT)
_STATIC = os.environ.get("BENCH_KIND") == "static"
_numbers = count()


class Plain(User):
    """Sends, waits for the answer, reads the push."""

    def on_start(self) -> None:
        """Connect."""
        path = "echo" if _STATIC else ""
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{os.environ['BENCH_PORT']}/{path}")
        self._me = f"canaryload{next(_numbers):06d}"

    @task
    def send(self) -> None:
        """One message."""
        began = time.perf_counter()
        if _STATIC:
            self._socket.send_binary(b"x" * 512)
            self._socket.recv()
        else:
            self._full(str(next(_numbers)))
        self.environment.events.request.fire(
            request_type="WS",
            name="send",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=None,
            context={},
        )

    def _full(self, number: str) -> None:
        message = pb.MsgData(
            sendID=self._me,
            recvID="canaryload000000",
            clientMsgID=f"{number:0>32}",
            senderPlatformID=5,
            sessionType=1,
            msgFrom=100,
            contentType=101,
            content=_CONTENT,
            createTime=int(time.time() * 1000),
            status=1,
        )
        request = Request(ReqIdentifier.SEND_MSG, "", self._me, f"op-{number}", number, message.SerializeToString())
        self._socket.send_binary(JSON.encode_request(request))
        answer = JSON.decode_answer(self._frame())
        if answer.msg_incr != number or answer.err_code:
            raise ValueError(answer)
        pushed = pb.PushMessages.FromString(JSON.decode_answer(self._frame()).data or b"")
        for pulled in pushed.msgs.values():
            if pulled.Msgs[0].clientMsgID != message.clientMsgID:
                raise ValueError(pulled)

    def _frame(self) -> bytes:
        found = self._socket.recv()
        return found if isinstance(found, bytes) else found.encode()
