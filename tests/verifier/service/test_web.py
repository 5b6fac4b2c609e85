"""The pages of the service: valid, complete and without secrets."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx

from tests.verifier.service.states import NOON, outcome, run, state
from verifier.model.verdict import Verdict
from verifier.service.state import ServiceState
from verifier.service.web import make_app

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJVc2VySUQiOiJ1MSJ9.c2lnbmF0dXJl"  # noqa: S105 - planted to be looked for


def ask(made: ServiceState, path: str, method: str = "GET") -> httpx.Response:
    """The answer of the web application, without a scheduler."""

    async def send() -> httpx.Response:
        app = make_app(made, lambda: NOON + timedelta(hours=1))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.request(method, path)

    return asyncio.run(send())


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
