"""Prometheus metrics, made anew from the state at each scrape: what is no longer judged is no longer told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from verifier.model.redact import clean
from verifier.model.verdict import RunResult, Verdict
from verifier.service.state import Ending, State


class StateCollector(Collector):
    """Turns the state into metrics. Labels are check IDs, severities, verdicts and names of roles: never a value of the stack."""

    def __init__(self, state: State, next_run: Callable[[], datetime | None]) -> None:
        self._state = state
        self._next_run = next_run

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        state = self._state
        info = GaugeMetricFamily(
            "verifier_stack_info", "Which stack, in which phase; always 1.", labels=["stack", "phase"]
        )
        info.add_metric([clean(state.profile.stack), state.profile.phase.value], 1)
        yield info
        yield _gauge("verifier_profile_ok", "Whether the profile on disk is in force.", not state.profile_fault)
        yield _gauge("verifier_run_in_progress", "Whether a run is under way.", state.running_since is not None)
        if (due := self._next_run()) is not None:
            yield _gauge("verifier_next_run_timestamp_seconds", "When the next run is due.", due.timestamp())
        runs = CounterMetricFamily(
            "verifier_runs", "Attempts at a run since the service started, by how they ended.", labels=["result"]
        )
        for ending in Ending:
            runs.add_metric([ending.value], state.endings[ending])
        yield runs
        reads = CounterMetricFamily(
            "verifier_store_reads", "Statements, commands and requests sent to each store.", labels=["store"]
        )
        for role, count in sorted(state.reads.items()):
            reads.add_metric([clean(role)], count)
        yield reads
        yield from self._canary()
        if state.latest is not None:
            yield from _of_run(state.latest, int(state.latest_code or 0))

    def _canary(self) -> Iterable[Metric]:
        canary = self._state.canary
        flights = CounterMetricFamily(
            "verifier_canary_runs", "Runs of the canary since the service started, by exit code.", labels=["exit_code"]
        )
        for code, count in sorted(canary.codes.items()):
            flights.add_metric([str(code)], count)
        yield flights
        if canary.last_at is not None:
            yield _gauge(
                "verifier_canary_last_run_timestamp_seconds",
                "When the canary's last run ended.",
                canary.last_at.timestamp(),
            )


def _of_run(result: RunResult, code: int) -> Iterable[Metric]:
    """What the newest complete run said."""
    verdicts = GaugeMetricFamily(
        "verifier_check_verdict",
        "1 for the verdict that each check has, 0 for the others.",
        labels=["check", "severity", "verdict"],
    )
    findings = GaugeMetricFamily(
        "verifier_check_findings", "Breaches found by each check.", labels=["check", "severity"]
    )
    for outcome in result.outcomes:
        labels = [clean(outcome.check_id), outcome.severity.label]
        for verdict in Verdict:
            verdicts.add_metric([*labels, verdict.value], float(outcome.verdict is verdict))
        findings.add_metric(labels, max(outcome.judgement.findings_total, len(outcome.judgement.findings)))
    yield verdicts
    yield findings
    reads = GaugeMetricFamily("verifier_last_run_reads", "What the last run sent to each store.", labels=["store"])
    for role, count in result.reads.items():
        reads.add_metric([clean(role)], count)
    yield reads
    took_s = (result.ended_at - result.started_at).total_seconds()
    yield _gauge("verifier_run_duration_seconds", "How long the last run took.", took_s)
    yield _gauge("verifier_last_run_timestamp_seconds", "When the last run ended.", result.ended_at.timestamp())
    yield _gauge(
        "verifier_last_run_exit_code", "As `verifier run` would have ended: 0 holds, 1 violated, 2 inconclusive.", code
    )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def render_metrics(state: State, next_run: Callable[[], datetime | None]) -> bytes:
    """The exposition text. The registry is its own: whatever else a process exports stays out."""
    registry = CollectorRegistry()
    registry.register(StateCollector(state, next_run))
    return generate_latest(registry)
