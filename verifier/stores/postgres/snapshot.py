"""PostgreSQL's transaction snapshots: which transactions had ended at a moment."""

from __future__ import annotations


class Snapshot:
    """A transaction snapshot, `xmin:xmax:xip,xip,…`, in 64-bit ids."""

    def __init__(self, xmin: int, xmax: int, in_flight: frozenset[int]) -> None:
        self.xmin, self.xmax, self.in_flight = xmin, xmax, in_flight

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Parse the server's text form."""
        xmin, xmax, listed = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(int(item) for item in listed.split(",") if item))

    def saw(self, xid: int) -> bool:
        """Whether the rows of a transaction, if it committed, are visible in this snapshot."""
        return xid < self.xmax and xid not in self.in_flight

    def full_xid(self, xmin: int) -> int:
        """The 64-bit id for a row's 32-bit xmin: the one nearest to this snapshot."""
        if xmin < 3:  # permanent ids: bootstrap and frozen
            return xmin
        candidate = (self.xmax & ~0xFFFFFFFF) | xmin
        if candidate > self.xmax + 0x7FFFFFFF:
            return candidate - 0x1_0000_0000
        if candidate < self.xmax - 0x7FFFFFFF:
            return candidate + 0x1_0000_0000
        return candidate
