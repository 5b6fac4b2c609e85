"""Prometheus metrics, created from the state at each scrape, so that checks which no longer exist have no series."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from verifier.model.redact import clean
from verifier.model.verdict import RunResult, Verdict
from verifier.service.state import Ending, ServiceState


class StateCollector(Collector):
    """Converts the state to metrics. Labels are check IDs, severities, verdicts and roles, never values of the stack."""

    def __init__(self, state: ServiceState, next_run: Callable[[], datetime | None]) -> None:
        self._state = state
        self._next_run = next_run

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        state = self._state
        info = GaugeMetricFamily("verifier_stack_info", "Stack and phase; always 1.", labels=["stack", "phase"])
        info.add_metric([clean(state.profile.stack), state.profile.phase.value], 1)
        yield info
        yield _gauge("verifier_profile_ok", "1 if the profile on disk can be used.", not state.profile_error)
        yield _gauge("verifier_run_in_progress", "1 while a run is in progress.", state.running_since is not None)
        if (due := self._next_run()) is not None:
            yield _gauge("verifier_next_run_timestamp_seconds", "Time of the next scheduled run.", due.timestamp())
        runs = CounterMetricFamily(
            "verifier_runs", "Runs attempted since the service started, by result.", labels=["result"]
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
        runs = CounterMetricFamily(
            "verifier_canary_runs", "Runs of the canary since the service started, by exit code.", labels=["exit_code"]
        )
        for code, count in sorted(canary.codes.items()):
            runs.add_metric([str(code)], count)
        yield runs
        if canary.last_at is not None:
            yield _gauge(
                "verifier_canary_last_run_timestamp_seconds",
                "Time when the last run of the canary ended.",
                canary.last_at.timestamp(),
            )


def _of_run(result: RunResult, code: int) -> Iterable[Metric]:
    """Metrics of the newest complete run."""
    verdicts = GaugeMetricFamily(
        "verifier_check_verdict",
        "1 for the current verdict of each check, 0 for the other verdicts.",
        labels=["check", "severity", "verdict"],
    )
    findings = GaugeMetricFamily("verifier_check_findings", "Findings of each check.", labels=["check", "severity"])
    for outcome in result.outcomes:
        labels = [clean(outcome.check_id), outcome.severity.label]
        for verdict in Verdict:
            verdicts.add_metric([*labels, verdict.value], float(outcome.verdict is verdict))
        findings.add_metric(labels, max(outcome.judgement.findings_total, len(outcome.judgement.findings)))
    yield verdicts
    yield findings
    reads = GaugeMetricFamily(
        "verifier_last_run_reads",
        "Statements, commands and requests sent to each store by the last run.",
        labels=["store"],
    )
    for role, count in result.reads.items():
        reads.add_metric([clean(role)], count)
    yield reads
    took_s = (result.ended_at - result.started_at).total_seconds()
    yield _gauge("verifier_run_duration_seconds", "Duration of the last run.", took_s)
    yield _gauge("verifier_last_run_timestamp_seconds", "Time when the last run ended.", result.ended_at.timestamp())
    yield _gauge("verifier_last_run_exit_code", "Exit code of the last run: 0 holds, 1 violated, 2 inconclusive.", code)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def render_metrics(state: ServiceState, next_run: Callable[[], datetime | None]) -> bytes:
    """The exposition text. It uses a separate registry, without the default metrics of the process."""
    registry = CollectorRegistry()
    registry.register(StateCollector(state, next_run))
    return generate_latest(registry)
