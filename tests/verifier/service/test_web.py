"""The pages of the service: valid, complete and without secrets."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.verifier.service.states import NOON, outcome, run, state
from verifier.model.verdict import ExitCode, Verdict
from verifier.service.metrics import render_metrics
from verifier.service.state import Ending, ServiceState
from verifier.service.web import make_app

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJVc2VySUQiOiJ1MSJ9.c2lnbmF0dXJl"  # noqa: S105 - planted to be looked for


def samples(made: ServiceState) -> dict[tuple[str, ...], float]:
    """Every sample by name and label values."""
    text = render_metrics(made, lambda: NOON + timedelta(hours=1)).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ask(made: ServiceState, path: str, method: str = "GET") -> httpx.Response:
    """The answer of the web application, without a scheduler."""

    async def send() -> httpx.Response:
        app = make_app(made, lambda: NOON + timedelta(hours=1))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.request(method, path)

    return asyncio.run(send())


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


def test_other_methods_than_get_are_refused() -> None:
    """405 for POST, PUT and DELETE."""
    for path in ("/", "/healthz", "/metrics"):
        for method in ("POST", "PUT", "DELETE"):
            assert ask(state(), path, method).status_code == 405


def test_the_report_before_the_first_run() -> None:
    """The page says when the first run is due."""
    answer = ask(state(), "/")
    assert answer.status_code == 200
    assert "no run yet, the first is due 2026-01-05 13:00:00 UTC" in answer.text


def test_an_unhealthy_service_is_503_with_reasons() -> None:
    """The status code is for probes, the reasons for people."""
    answer = ask(state(failure="the history is full"), "/healthz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unwell"
    assert "the last run failed: the history is full" in answer.json()["reasons"]


def test_no_secret_in_any_answer() -> None:
    """A token or password in an error is redacted on every page."""
    made = state(failure=f"refused {TOKEN}", profile_error="postgresql://u:s3cret@db/users is wrong")
    text = "".join(ask(made, path).text for path in ("/", "/healthz", "/metrics"))
    assert "[hidden]" in text
    assert TOKEN not in text
    assert "s3cret" not in text


def test_an_unusable_history_is_503_with_a_message() -> None:
    """The report needs the history; without it the page says why."""
    made = state(latest=run(outcome("USR-01", Verdict.HOLDS)))
    made.profile = made.profile.model_copy(update={"history": "/nonexistent/history.db"})
    answer = ask(made, "/")
    assert answer.status_code == 503
    assert "folder does not exist" in answer.text
