"""What the engine counts and measures, and histograms of latencies that can be merged."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

_LOWEST_US, _HIGHEST_US, _DIGITS = 1, 3_600_000_000, 3
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)


@dataclass(slots=True)
class Figures:
    """Counts and latencies of a period; latencies are in ns, from the due time of a message.

    Attributes:
        unsent: messages that were due and dropped, as their user's queue was full.
        strays: answers that belong to no open send.
        lag_ns: the longest delay of the event loop.
        late_ns: for each message, the delay from its due time to its send.
        connect_ns: durations of handshakes.
        errors: counts by a short text.
    """

    sent: int = 0
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    pushes: int = 0
    pulled: int = 0
    unsent: int = 0
    strays: int = 0
    disconnects: int = 0
    lag_ns: int = 0
    sent_bytes: int = 0
    ack_ns: array[int] = field(default_factory=lambda: array("q"))
    push_ns: array[int] = field(default_factory=lambda: array("q"))
    late_ns: array[int] = field(default_factory=lambda: array("q"))
    connect_ns: array[int] = field(default_factory=lambda: array("q"))
    errors: dict[str, int] = field(default_factory=dict)

    def count_error(self, what: str) -> None:
        """Count an error."""
        self.errors[what] = self.errors.get(what, 0) + 1


class Latency:
    """A histogram of times with three significant digits, from 1 microsecond to an hour."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)

    def add_ns(self, times_ns: array[int] | NDArray[np.int64]) -> None:
        """Add many times at once; negative ones (from clocks of two machines) count as the lowest value."""
        if not len(times_ns):
            return
        us = np.clip(np.frombuffer(times_ns, np.int64) // 1000, _LOWEST_US, _HIGHEST_US)
        # Only three digits are kept: rounding first leaves fewer distinct values.
        step = np.power(10, np.maximum(np.floor(np.log10(us)).astype(np.int64) - 3, 0))
        for value, count in zip(*map(np.ndarray.tolist, np.unique(us // step * step, return_counts=True)), strict=True):
            self._histogram.record_value(value, count)

    def merge(self, encoded: bytes) -> None:
        """Add the result of another histogram's `encode`."""
        self._histogram.decode_and_add(encoded)

    def encode(self) -> bytes:
        """The histogram in the compressed form of the HdrHistogram libraries (V2, base64)."""
        encoded: bytes = self._histogram.encode()
        return encoded

    @property
    def count(self) -> int:
        """The number of times in it."""
        return int(self._histogram.get_total_count())

    def percentiles_ms(self) -> dict[float, float]:
        """`PERCENTILES` in ms; empty without times."""
        if not self.count:
            return {}
        return {each: self._histogram.get_value_at_percentile(each) / 1000 for each in PERCENTILES}
