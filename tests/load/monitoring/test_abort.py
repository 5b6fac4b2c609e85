"""Abort limits: a run ends early when a limit was exceeded for long enough, and is judged as far as it went."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.config import AbortLimits
from load.engine.figures import Figures
from load.experiments.plans import read_plan, run_plan
from load.monitoring.abort import AbortMonitor
from tests.load.doubled import ADMIN, SECRET, a_double
from verifier.model.verdict import ExitCode

pytestmark = pytest.mark.long

AFTER_S = 5


def _figures(*, acked: int = 0, refused: int = 0, ms: float = 1.0) -> Figures:
    return Figures(acked=acked, refused=refused, ack_ns=array("q", [round(ms * 1e6)] * acked))


def _ended_at(limits: AbortLimits, seconds: list[tuple[Figures, int]]) -> int | None:
    """The second in which the monitor ends the run."""
    now = [0.0]
    monitor = AbortMonitor(limits, clock=lambda: now[0])
    for second, (figures, backlog) in enumerate(seconds):
        now[0] = second + 1.0
        if monitor.check(figures, backlog) is not None:
            return second
    return None


@given(st.lists(st.sampled_from(["good", "bad", "silent"]), max_size=40))
def test_only_an_uninterrupted_excess_ends_a_run(seconds: list[str]) -> None:
    """A second within the limit restarts the count; a second without an answer neither counts nor restarts it."""
    made = {"good": _figures(acked=9, ms=10), "bad": _figures(acked=9, ms=900), "silent": _figures()}
    expected, since = None, None
    for second, what in enumerate(seconds):
        if what == "good":
            since = None
        elif what == "bad":
            since = second if since is None else since
            if second + 1 - since >= AFTER_S:
                expected = second
                break
    limits = AbortLimits(after_s=AFTER_S, send_p99_ms=500)
    assert _ended_at(limits, [(made[what], 0) for what in seconds]) == expected


@pytest.mark.parametrize(
    ("limits", "bad", "says"),
    [
        (AbortLimits(after_s=1, error_share_most=0.1), (_figures(acked=1, refused=1), 0), "errors 50.0% of the answers, for 1 s above 10.0%"),
        (AbortLimits(after_s=1, backlog_most=10), (_figures(), 11), "backlog 11 messages, for 1 s above 10 messages"),
        (AbortLimits(after_s=1, send_p99_ms=5), (_figures(acked=1, ms=7), 0), "send-p99 7 ms, for 1 s above 5 ms"),
        (AbortLimits(after_s=1, push_lag_ms=5), (Figures(push_ns=array("q", [9_000_000])), 0), "push-lag-p99 9 ms, for 1 s above 5 ms"),
        (AbortLimits(after_s=1, unstored_most=5), (_figures(), 0), "unstored 7 messages, for 1 s above 5 messages"),
    ],
)  # fmt: skip
def test_the_reason_names_the_limit(limits: AbortLimits, bad: tuple[Figures, int], says: str) -> None:
    """The reason has the value, the limit, and the duration."""
    now = [0.0]
    monitor = AbortMonitor(limits, clock=lambda: now[0], unstored=lambda: 7)
    now[0] = 1.0
    assert says in (monitor.check(*bad) or "")


def test_without_limits_nothing_is_kept() -> None:
    """Memory does not grow in a run of days."""
    monitor = AbortMonitor(AbortLimits())
    assert [monitor.check(_figures(acked=1000, ms=1e6), 10**6) for _ in range(3)] == [None] * 3
    assert not monitor._window.ack_ns


def test_an_aborted_run_is_judged_and_inconclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends long before its time; the report has the reason, although nothing was lost."""
    monkeypatch.setenv("OPENIM_SECRET", SECRET)
    monkeypatch.setenv("OPENIM_ADMIN", ADMIN)
    plan = tmp_path / "plan.toml"
    with a_double() as double:
        plan.write_text(
            f"""
            out_dir = "{tmp_path}"
            [target]
            host = "{double.api_url}"
            ws_url = "{double.ws_url}"
            [load]
            users = 4
            duration_s = 600
            rate = 20
            settle_s = 0.3
            late_most_ms = 2000
            processes = 2
            [abort]
            after_s = 1
            send_p99_ms = 0.001
            """
        )
        code = run_plan(read_plan(plan)).code
    report = json.loads(min(tmp_path.glob("load-*.json"), key=lambda path: len(path.name)).read_text())
    assert code is ExitCode.INCONCLUSIVE
    assert report["doubts"][0].startswith("the run was aborted: send-p99")
    assert report["delivery"]["acked"] == report["delivery"]["sent"] > 0
    assert report["delivery"]["deliveries"]["lost"] == 0
