"""Column journals as operations: for the sentences of reports, and to compare both kinds of judges in tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from load.journal.layout import NO_SEQ, PHASES, WORKER_SHIFT, Events, Kind, marker_of
from load.journal.reader import ColumnReader
from verifier.judges.operation import Operation, OpPhase

Wanted = Callable[[Events], Any]
"""Selects events of a batch, as a mask."""


def operations(readers: Sequence[ColumnReader], wanted: Wanted | None = None) -> Iterator[Operation]:
    """The operations of one run's journals, one file after another; all sends, reads and pushes without `wanted`.

    Times of several recorders are wall clock times, as exact as the machines' clocks agree. Ids contain the worker.
    """
    for reader in readers:
        shift_ns = reader.wall_shift_ns if len(readers) > 1 else 0
        converter = _Converter(reader, shift_ns)
        for batch in reader.batches():
            # Read marks and read positions have a judge that reads arrays.
            chosen = batch[batch["kind"] <= Kind.ENDED] if wanted is None else batch[wanted(batch)]
            # Later events may refer to events that are not wanted.
            converter.learn(batch)
            for row in chosen.tolist():
                yield converter.operation(*row)


class _Converter:
    def __init__(self, reader: ColumnReader, shift_ns: int) -> None:
        self._reader = reader
        self._shift_ns = shift_ns
        self._connections: dict[int, int] = {}
        self._reads: dict[int, int] = {}

    def learn(self, batch: Events) -> None:
        """Note the users of connections and read-backs."""
        connected = batch[batch["kind"] == Kind.CONNECTED]
        self._connections.update(zip(connected["who"].tolist(), connected["number"].tolist(), strict=True))
        reads = batch[batch["kind"] == Kind.READ]
        self._reads.update(zip(reads["number"].tolist(), reads["who"].tolist(), strict=True))

    def operation(
        self, kind: int, phase: int, code: int, who: int, number: int, at_ns: int, a: int, b: int
    ) -> Operation:
        """One event as an operation."""
        process, op, call_id, value = self._parts(kind, phase, code, who, number, at_ns, a, b)
        return Operation(
            process=process,
            op=op,
            phase=PHASES[phase] if kind in (Kind.ACK, Kind.READ_END) else _PHASE[kind],
            id=f"{self._reader.worker}.{call_id}",
            time_ns=at_ns + self._reader.wall_shift_ns,
            monotonic_ns=at_ns + self._shift_ns,
            value=value,
        )

    def _parts(
        self, kind: int, phase: int, code: int, who: int, number: int, at_ns: int, a: int, b: int
    ) -> tuple[str, str, str, dict[str, Any]]:
        match kind:
            case Kind.SEND | Kind.ACK:
                return self._send(kind, phase, code, who, number, at_ns, a, b)
            case Kind.PUSHED | Kind.PULLED:
                return self._received(kind, code, who, number, at_ns, a, b)
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
                "channel": self._reader.channel,
                "late_ms": max(0, round((at_ns - a) / 1e6)),
            }
        else:
            value = {"message_id": f"{b:016x}"} if PHASES[phase] is OpPhase.OK else {"error": f"errCode {code}"}
        return sender, "send", f"s{number & ((1 << WORKER_SHIFT) - 1)}", value

    def _received(
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
            "channel": self._reader.channel if pushed else "pull",
        }
        if pushed:
            value["connection"] = self._connection(who)
        return user, "receive", f"{'p' if pushed else 'q'}{who}.{number}.{at_ns}", value

    def _connection(self, number: int) -> str:
        return f"{self._reader.worker}.c{number}"


_PHASE: dict[int, OpPhase] = {kind: OpPhase.INVOKE if kind in (Kind.SEND, Kind.READ) else OpPhase.OK for kind in Kind}
