"""Column journals as the operations that every judge reads: for small runs, and for naming what was found in large ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from load.journal.layout import NO_SEQ, PHASES, WORKER_SHIFT, Events, Kind, marker_of
from load.journal.reader import ColumnReader
from verifier.judges.operation import WEBSOCKET, Operation, OpPhase

Wanted = Callable[[Events], Any]
"""Which events of a batch are wanted, as a mask; None for all."""


def operations(readers: Sequence[ColumnReader], wanted: Wanted | None = None) -> Iterator[Operation]:
    """The operations of one run's recorders, one file after the other.

    Several recorders' times are on the wall clock, as good as the machines' clocks agree; ids carry the worker.
    """
    for reader in readers:
        shift_ns = reader.wall_shift_ns if len(readers) > 1 else 0
        message_recorder = _Words(reader, shift_ns)
        for batch in reader.batches():
            # What people have read is no message: it has a judge of its own.
            chosen = batch[batch["kind"] <= Kind.ENDED] if wanted is None else batch[wanted(batch)]
            # What later events refer to is learnt whether it is wanted or not.
            message_recorder.learn(batch)
            for row in chosen.tolist():
                yield message_recorder.operation(*row)


class _Words:
    def __init__(self, reader: ColumnReader, shift_ns: int) -> None:
        self._reader = reader
        self._shift_ns = shift_ns
        self._connections: dict[int, int] = {}
        self._reads: dict[int, int] = {}

    def learn(self, batch: Events) -> None:
        """Who a connection and a read-back belong to."""
        connected = batch[batch["kind"] == Kind.CONNECTED]
        self._connections.update(zip(connected["who"].tolist(), connected["number"].tolist(), strict=True))
        reads = batch[batch["kind"] == Kind.READ]
        self._reads.update(zip(reads["number"].tolist(), reads["who"].tolist(), strict=True))

    def operation(
        self, kind: int, phase: int, code: int, who: int, number: int, at_ns: int, a: int, b: int
    ) -> Operation:
        """One event in the words of `verifier.judges.operation`."""
        process, op, call_id, value = self._told(kind, phase, code, who, number, at_ns, a, b)
        return Operation(
            process=process,
            op=op,
            phase=PHASES[phase] if kind in (Kind.ACK, Kind.READ_END) else _PHASE[kind],
            id=f"{self._reader.worker}.{call_id}",
            time_ns=at_ns + self._reader.wall_shift_ns,
            monotonic_ns=at_ns + self._shift_ns,
            value=value,
        )

    def _told(
        self, kind: int, phase: int, code: int, who: int, number: int, at_ns: int, a: int, b: int
    ) -> tuple[str, str, str, dict[str, Any]]:
        match kind:
            case Kind.SEND | Kind.ACK:
                return self._send(kind, phase, code, who, number, at_ns, a, b)
            case Kind.PUSHED | Kind.PULLED:
                return self._seen(kind, code, who, number, at_ns, a, b)
            case Kind.READ:
                user = self._reader.names.users[who]
                conversation = self._reader.names.conversations[a]
                return user, "read_back", f"r{number}", {"conversation": conversation, "receiver": user}
            case Kind.READ_END:
                done = {"begin": a, "end": b, "complete": bool(code)} if PHASES[phase] is OpPhase.OK else {}
                return self._reader.names.users[who], "read_back", f"r{number}", done
            case _:
                user = self._reader.names.users[number]
                op = "ws_connect" if kind == Kind.CONNECTED else "ws_end"
                return user, op, f"c{who}.{op}", {"user": user, "connection": self._connection(who)}

    def _send(
        self, kind: int, phase: int, code: int, who: int, number: int, at_ns: int, a: int, b: int
    ) -> tuple[str, str, str, dict[str, Any]]:
        names = self._reader.names
        user, conversation = names.lanes[who]
        sender = names.users[user]
        value: dict[str, Any]
        if kind == Kind.SEND:
            value = {
                "marker": marker_of(number),
                "conversation": names.conversations[conversation],
                "sender": sender,
                "receivers": [names.users[member] for member in names.members[conversation]],
                "digest": self._reader.digest,
                "channel": WEBSOCKET,
                "late_ms": max(0, round((at_ns - a) / 1e6)),
            }
        else:
            value = {"message_id": f"{b:016x}"} if PHASES[phase] is OpPhase.OK else {"error": f"errCode {code}"}
        return sender, "send", f"s{number & ((1 << WORKER_SHIFT) - 1)}", value

    def _seen(
        self, kind: int, code: int, who: int, number: int, at_ns: int, a: int, b: int
    ) -> tuple[str, str, str, dict[str, Any]]:
        pushed = kind == Kind.PUSHED
        user = self._reader.names.users[(self._connections if pushed else self._reads)[who]]
        value: dict[str, Any] = {
            "marker": marker_of(number),
            "receiver": user,
            "seq": None if a == NO_SEQ else a,
            "message_id": f"{b:016x}" if b else "",
            "digest": "altered" if code else self._reader.digest,
            "read": "" if pushed else f"{self._reader.worker}.r{who}",
            "channel": WEBSOCKET if pushed else "pull",
        }
        if pushed:
            value["connection"] = self._connection(who)
        return user, "receive", f"{'p' if pushed else 'q'}{who}.{number}.{at_ns}", value

    def _connection(self, number: int) -> str:
        return f"{self._reader.worker}.c{number}"


_PHASE: dict[int, OpPhase] = {kind: OpPhase.INVOKE if kind in (Kind.SEND, Kind.READ) else OpPhase.OK for kind in Kind}
