"""This project's generator in the benchmark: `python -m load.bench.ours PORT CONNECTIONS full|static|idle`, until it is ended.

`full` is the engine as in load runs, with its journal. `static` sends one constant frame, for comparison.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from load.config import Traffic
from load.engine.engine import LoadEngine
from load.engine.frames import SINGLE, Peer
from load.engine.plan import EnginePlan, Target, UserPlan
from load.journal.writer import ColumnWriter

TEXT = "x" * 180


class Static(WSListener):
    """Sends the same frame after each answer."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Send the next frame."""
        if frame.msg_type == WSMsgType.BINARY:
            frame.get_payload_as_bytes()
            transport.send(WSMsgType.BINARY, self._frame)


async def static(port: int, connections: int) -> None:
    """Echoes of one frame of half a kilobyte."""
    frame = b"x" * 512
    url = f"ws://127.0.0.1:{port}/echo"
    # Connect all first: later handshakes would wait behind the traffic of earlier connections.
    transports = [(await ws_connect(lambda: Static(frame), url))[0] for _ in range(connections)]
    for transport in transports:
        transport.send(WSMsgType.BINARY, frame)
    await asyncio.Event().wait()


def engine(port: int, connections: int, directory: Path, *, sends: bool = True) -> LoadEngine:
    """The engine with this many users; each sends when its last message is answered."""
    plan = EnginePlan(run_id="bench", worker=0, text=TEXT, traffic=Traffic(window=1), warm_up_s=0.2)
    journal = ColumnWriter(directory / "bench.columns", run_id="bench", stack="bench", worker=0, digest=plan.digest)
    running = LoadEngine(plan, journal)
    running.start(lambda run: threading.Thread(target=run, daemon=True).start())
    add_users(running, port, connections, sends=sends)
    return running


def add_users(running: LoadEngine, port: int, connections: int, *, sends: bool = True) -> None:
    """Add users in pairs."""
    for number in range(connections):
        me, peer = f"canaryload{number:06d}", f"canaryload{number ^ 1:06d}"
        target = Target(peer=Peer(SINGLE, peer), conversation=f"si_{min(me, peer)}_{max(me, peer)}", members=(me, peer))
        running.add(
            UserPlan(
                user_id=me,
                address=lambda: (f"ws://127.0.0.1:{port}/", {}),
                targets=[target] if sends else [],
                due_s=None if sends else iter(()),
            )
        )


def main() -> None:
    """Run until the process is ended."""
    port, connections, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if what == "static":
        uvloop.run(static(port, connections))
    with tempfile.TemporaryDirectory() as directory:
        running = engine(port, connections, Path(directory), sends=what == "full")
        while True:
            time.sleep(1)
            running.take()


if __name__ == "__main__":
    main()
