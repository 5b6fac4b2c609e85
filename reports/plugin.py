"""The pytest plugin: options for the stack under test, and one report of all results.

    pytest suites --profile stack.toml --report reports/out/report.html

The parts of the report are written beside it as JSON: `suites.json`, and `verifier-….json` for each run of the verifier in a suite.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reports.joined import ReportError, write_joined
from reports.models.suites import CaseDocument, Ending, SuitesDocument
from reports.runs import write_run
from verifier.model.verdict import ExitCode, RunResult
from verifier.profile import ProfileError, load_profile

EMBEDDED = "embedded"
_ABOUT, _RUN = "about", "verifier_run"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of every suite."""
    group = parser.getgroup("stack", "the embedded stack")
    group.addoption(
        "--profile", type=Path, metavar="STACK.TOML", help="run against this stack instead of the embedded one"
    )
    group.addoption(
        "--report",
        type=Path,
        metavar="HTML",
        help="write one HTML report of these tests, the verifier and the load tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the results in the controller, which sees all of them."""
    path: Path | None = config.getoption("--report")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config, path), "joined-report")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Attach the docstring of the test file to each result: workers collect the tests, the controller reports them."""
    module = getattr(item, "module", None)
    if item.config.getoption("--report") and module is not None:
        item.user_properties.append((_ABOUT, (module.__doc__ or "").strip().partition("\n")[0]))


def record_run(request: pytest.FixtureRequest, result: RunResult, *, code: ExitCode) -> None:
    """Add a run of the verifier to the report. Call it from a session fixture: workers pass the path on with their results."""
    report: Path | None = request.config.getoption("--report")
    if report is None:
        return
    path = write_run(report.parent, result, code)
    for item in request.session.items:
        item.user_properties.append((_RUN, str(path)))


class Collector:
    """Collects the results of one session and writes the report at its end."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._path = path
        self._started_at = datetime.now(UTC)
        self._cases: dict[str, CaseDocument] = {}
        self._runs: dict[str, None] = {}
        self._message = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended. A later step, such as its tear-down, can only make it worse."""
        properties: dict[str, Any] = dict(report.user_properties)
        if run := properties.get(_RUN):
            self._runs[str(run)] = None
        ending = _ending(report)
        if ending is None:
            return
        before = self._cases.get(report.nodeid)
        if before is not None and ending is not Ending.ERROR:
            return
        self._cases[report.nodeid] = CaseDocument(
            node=report.nodeid,
            about=str(properties.get(_ABOUT, "")),
            ending=ending,
            message=_message(report, ending),
            started_at=datetime.fromtimestamp(report.start, UTC),
            duration_s=report.duration,
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the parts and the joined report. A report that cannot be written does not change the result of the tests."""
        document = SuitesDocument(
            **_stack(self._config),
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
            interrupted=exitstatus == pytest.ExitCode.INTERRUPTED,
            cases=tuple(self._cases.values()),
        )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.parent / "suites.json"
            part.write_text(document.model_dump_json(indent=2) + "\n", encoding="utf-8")
            loads = sorted(self._path.parent.glob("load-*.json"))[-1:]
            # The contract suite writes its file beside the report, if it ran in this session.
            began = self._started_at.timestamp()
            contracts = [one for one in self._path.parent.glob("contract.json") if one.stat().st_mtime >= began]
            write_joined([*(Path(run) for run in self._runs), part, *contracts, *loads], self._path)
            self._message = f"report: {self._path}"
        except OSError as error:
            self._message = f"the report {self._path} could not be written: {error.strerror}"
        except ReportError as error:
            self._message = f"no report was written: {error}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the path of the report, or why there is none."""
        terminalreporter.write_line(self._message)


def _stack(config: pytest.Config) -> dict[str, str]:
    """Name and phase of the stack under test. A profile that cannot be read has already failed the tests."""
    path: Path | None = config.getoption("--profile")
    if path is None:
        return {"stack": EMBEDDED, "phase": EMBEDDED}
    try:
        profile = load_profile(path)
    except ProfileError:
        return {"stack": path.stem, "phase": "unknown"}
    return {"stack": profile.stack, "phase": profile.phase.value}


def _ending(report: pytest.TestReport) -> Ending | None:
    """How a test ended, or None for a set-up or tear-down that succeeded."""
    if report.when == "call" and report.passed:
        return Ending.PASSED
    if report.skipped:
        return Ending.SKIPPED
    if report.failed:
        return Ending.FAILED if report.when == "call" else Ending.ERROR
    return None


def _message(report: pytest.TestReport, ending: Ending) -> str:
    if ending is Ending.PASSED:
        return ""
    if isinstance(report.longrepr, tuple):  # a skip: file, line, reason
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return f"{crash.message}\n\n{report.longreprtext}" if crash is not None else report.longreprtext
