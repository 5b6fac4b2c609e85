"""The Prometheus metrics of the service."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from tests.verifier.service.states import NOON, outcome, run, state
from verifier.model.verdict import ExitCode, Verdict
from verifier.service.metrics import render_metrics
from verifier.service.state import Ending, ServiceState


def samples(made: ServiceState) -> dict[tuple[str, ...], float]:
    """Every sample by name and label values."""
    text = render_metrics(made, lambda: NOON + timedelta(hours=1)).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_of_a_run() -> None:
    """One series per verdict, of which one is 1; findings, times, exit code and reads."""
    made = state(
        latest=run(outcome("USR-01", Verdict.VIOLATED, findings=3), outcome("TOK-01", Verdict.HOLDS)),
        latest_code=ExitCode.VIOLATED,
    )
    made.endings[Ending.FINISHED] = 2
    made.reads["user_db"] = 24
    made.canary.codes[0] = 1
    found = samples(made)
    verdicts = {key: value for key, value in found.items() if key[:2] == ("verifier_check_verdict", "USR-01")}
    assert len(verdicts) == len(Verdict)
    assert [key[-1] for key, value in verdicts.items() if value] == ["violated"]
    assert found["verifier_check_findings", "USR-01", "high"] == 3
    assert found["verifier_runs_total", "finished"] == 2
    assert found["verifier_store_reads_total", "user_db"] == 24
    assert found["verifier_last_run_reads", "user_db"] == 12
    assert found["verifier_last_run_exit_code",] == 1
    assert found["verifier_run_duration_seconds",] == 60
    assert found["verifier_last_run_timestamp_seconds",] == (NOON + timedelta(minutes=1)).timestamp()
    assert found["verifier_next_run_timestamp_seconds",] == (NOON + timedelta(hours=1)).timestamp()
    assert found["verifier_canary_runs_total", "0"] == 1


def test_metrics_before_the_first_run() -> None:
    """Without a run there are no series for verdicts and the last run."""
    found = samples(state())
    assert not [key for key in found if key[0].startswith(("verifier_check", "verifier_last_run"))]
    assert found["verifier_run_in_progress",] == 0
    assert found["verifier_profile_ok",] == 1
