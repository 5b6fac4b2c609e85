"""Workers' clocks: the offset is measured within its error, recorded in the journal, and reported if it is inexact."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, cast

import gevent
import pytest

from load.journal.layout import OK, Kind
from load.journal.reader import Clock, ColumnReader
from load.monitoring.clocks import CLOCK_REQUEST, ClockComparison
from load.report import account_for
from tests.load.journals import writer
from verifier.model.verdict import ExitCode

pytestmark = pytest.mark.long

SKEW_NS = 5_000_000_000
MS = 1_000_000


class Master:
    """A master that replies after a delay, and also to earlier requests; or never."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers, self.comparison = answers, cast("ClockComparison", None)
        self._rng = random.Random(7)  # noqa: S311 - delays

    def send_message(self, kind: str, data: dict[str, Any]) -> None:
        assert kind == CLOCK_REQUEST
        if self.answers:
            gevent.spawn(self._reply, data["asked"])

    def _reply(self, asked: int) -> None:
        gevent.sleep(self._rng.uniform(0, 0.01))
        time_ns = time.time_ns()
        gevent.sleep(self._rng.uniform(0, 0.01))
        self.comparison.reply(asked, time_ns)
        # A reply to an earlier request must be ignored.
        self.comparison.reply(asked - 1, time_ns - 10**12)


def _compare(master: Master) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    comparison = ClockComparison(
        master.send_message, lambda: time.time_ns() - SKEW_NS, lambda ns, error_ns: found.append((ns, error_ns))
    )
    master.comparison = comparison
    with gevent.Timeout(5, False):
        while not found:
            gevent.sleep(0.02)
    comparison.stop()
    return found


def test_the_true_offset_is_within_the_error() -> None:
    """The clock is five seconds behind and the replies are delayed."""
    ((offset_ns, error_ns),) = _compare(Master())
    assert abs(offset_ns - SKEW_NS) <= error_ns < 25 * MS


def test_without_a_reply_there_is_no_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A master of an earlier version does not reply."""
    monkeypatch.setattr("load.monitoring.clocks._TIMEOUT_S", 0.05)
    assert _compare(Master(answers=False)) == []


def _run(path: Path, *clocks: tuple[int, int]) -> Path:
    journal = writer(path)
    lane = journal.lane(journal.user("a"), journal.conversation("si_a_b", ()))
    now_ns = journal.header.monotonic_ns
    journal.event(Kind.SEND, now_ns, lane, 1, a=now_ns)
    for offset_ns, error_ns in clocks:
        journal.clock(offset_ns, error_ns)
    journal.event(Kind.ACK, now_ns + MS, lane, 1, OK, b=1)
    journal.close()
    return path


def test_times_are_corrected_by_the_recorded_offsets(tmp_path: Path) -> None:
    """The correction is the middle of all measurements, and its error covers all of them."""
    reader = ColumnReader(_run(tmp_path / "a.columns", (40 * MS, 2 * MS), (50 * MS, 1 * MS)))
    before_ns = reader.wall_shift_ns
    assert sum(map(len, reader.batches())) == 2 + 3
    assert reader.clock == Clock((38 + 51) * MS // 2, (51 - 38) * MS // 2)
    assert reader.wall_shift_ns - before_ns == (38 + 51) * MS // 2
    assert "44.5 ms behind the master's, plus or minus 6.5 ms" in " ".join(reader.notes)


@pytest.mark.parametrize(("error_ms", "warned"), [(99, False), (101, True)])
def test_an_inexact_clock_is_a_warning(tmp_path: Path, error_ms: int, warned: bool) -> None:
    """Events of different machines cannot be put in one order then."""
    account = account_for([_run(tmp_path / "a.columns", (0, error_ms * MS))], settle_s=0)
    assert any("is known to 101 ms only" in warning for warning in account.warnings) is warned
    assert not warned or account.exit_code is ExitCode.INCONCLUSIVE
