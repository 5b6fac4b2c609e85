"""The web server: `/healthz`, `/metrics`, and the latest report at `/`. GET only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from verifier.engine.session import open_history
from verifier.history import HistoryError
from verifier.model.redact import clean
from verifier.model.text import at_text, conclusion
from verifier.profile.cron import cron_trigger
from verifier.render.html import ReportSection, render_html
from verifier.service.health import judge_health
from verifier.service.metrics import render_metrics
from verifier.service.state import ServiceState

TREND_RUNS = 30
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


class Pages:
    """The three pages. The methods are not coroutines, so Starlette runs them in threads."""

    def __init__(self, state: ServiceState, next_run: Callable[[], datetime | None]) -> None:
        self._state = state
        self._next_run = next_run
        self._report: tuple[str, str] = ("", "")

    def health(self, request: Request) -> Response:
        """200 if the service is healthy, 503 with the reasons otherwise."""
        state = self._state
        trigger = cron_trigger(state.profile.schedule.cron)
        health = judge_health(state, trigger, datetime.now(UTC))
        body = {
            "status": "ok" if health.well else "unwell",
            "reasons": [clean(text) for text in health.reasons],
            "warnings": [clean(text) for text in health.warnings],
            "stack": clean(state.profile.stack),
            "phase": state.profile.phase.value,
            "last_run": self._last_run(),
            "running_since": _iso(state.running_since),
            "next_run_at": _iso(self._next_run()),
        }
        return JSONResponse(body, status_code=200 if health.well else 503, headers=_HEADERS)

    def _last_run(self) -> dict[str, Any] | None:
        last = self._state.latest
        if last is None:
            return None
        return {
            "run_id": last.run_id,
            "started_at": _iso(last.started_at),
            "ended_at": _iso(last.ended_at),
            "exit_code": self._state.latest_code,
            "conclusion": conclusion(last),
        }

    def metrics(self, request: Request) -> Response:
        """Metrics in the Prometheus text format."""
        return Response(render_metrics(self._state, self._next_run), media_type=CONTENT_TYPE_LATEST, headers=_HEADERS)

    def report(self, request: Request) -> Response:
        """The report of the newest complete run, with earlier runs from the history."""
        last = self._state.latest
        if last is None:
            due = self._next_run()
            when = f"the first is due {at_text(due)}" if due else "none is due"
            return HTMLResponse(
                render_html([], title=f"{self._state.profile.stack}: no run yet, {when}"), headers=_HEADERS
            )
        if self._report[0] != last.run_id:
            try:
                self._report = (last.run_id, self._render())
            except HistoryError as error:
                return PlainTextResponse(clean(str(error)), status_code=503, headers=_HEADERS)
        return HTMLResponse(self._report[1], headers=_HEADERS)

    def _render(self) -> str:
        state, last = self._state, self._state.latest
        sections = []
        with open_history(state.profile) as history:
            if last is not None:
                known = {item.fingerprint: item for item in history.findings()}
                heading = f"{last.stack}, phase {last.phase}"
                sections.append(ReportSection(heading=heading, result=last, known=known, exit_code=state.latest_code))
            return render_html(
                sections, title=f"{state.profile.stack}: single source of truth", trend=history.runs(TREND_RUNS)
            )


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def make_app(
    state: ServiceState, next_run: Callable[[], datetime | None], lifespan: Lifespan | None = None
) -> Starlette:
    """The Starlette application. `next_run` returns the time of the next scheduled run."""
    pages = Pages(state, next_run)
    return Starlette(
        routes=[
            Route("/", pages.report),
            Route("/healthz", pages.health),
            Route("/metrics", pages.metrics),
        ],
        lifespan=lifespan,
    )
