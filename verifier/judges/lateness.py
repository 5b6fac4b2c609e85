"""Whether a message that a read-back lacks may only be late: a loaded server acknowledges before it stores [F66]."""

from __future__ import annotations

from collections import defaultdict

from verifier.judges.messages import MessageIndex, ReadBack, SentMessage


class Lateness:
    """The progress of a server, by when its messages were seen. `quiet_s`: as in `judge_delivery`."""

    def __init__(self, messages: MessageIndex, quiet_s: float) -> None:
        self._quiet_ns = round(quiet_s * 1e9)
        latest = {read.call.invoke.id: read for read in messages.latest_read.values()}
        first_seen: dict[str, int] = {}
        seqs: dict[str, set[int | None]] = defaultdict(set)
        self._begun: dict[tuple[str, str], int] = {}
        for (marker, _), receptions in messages.receptions.items():
            message = messages.sent.get(marker)
            for reception in receptions:
                read = reception.text("read")
                if read in latest:
                    seqs[read].add(reception.number("seq"))
                if message is None:
                    continue
                first_seen[marker] = min(reception.monotonic_ns, first_seen.get(marker, reception.monotonic_ns))
                if read in latest:
                    key, begun_ns = (read, message.sender), message.call.invoke.monotonic_ns
                    self._begun[key] = max(begun_ns, self._begun.get(key, begun_ns))
        self._progress_ns = max(first_seen.values(), default=0)
        self._whole = {
            name
            for name, read in latest.items()
            if None not in seqs[name] and seqs[name] >= {*range(read.begin, read.end + 1)}
        }

    def is_ruled_out(self, message: SentMessage, read: ReadBack) -> bool:
        """Whether the message, which this read-back lacks, cannot become readable any more."""
        begun_ns = self._begun.get((read.call.invoke.id, message.sender))
        overtaken = begun_ns is not None and begun_ns > message.call.last.monotonic_ns
        busy_ns = max(self._progress_ns, message.call.last.monotonic_ns)
        quiet = read.call.invoke.monotonic_ns - busy_ns >= self._quiet_ns
        return quiet or (overtaken and read.call.invoke.id in self._whole)
