"""The HTML report: one self-contained file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from verifier.history.records import RunSummary, StoredFinding
from verifier.model.invariant import Severity
from verifier.model.redact import clean, clean_finding, clean_result
from verifier.model.text import (
    EXIT_MEANING,
    MARKS,
    ORDER,
    about,
    at_text,
    clock_text,
    conclusion,
    duration_text,
    headline,
    number,
    phase_text,
    plural,
    ranked,
)
from verifier.model.verdict import ExitCode, Outcome, RunResult, Verdict

if TYPE_CHECKING:
    from verifier.history import History


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture in a section: self-contained inline SVG with title and caption."""

    title: str
    svg: Markup
    caption: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSection:
    """One run in the report.

    `expectations`: the planned verdict of each check (in a demo); the report then shows the differences. `known`: the stored
    findings by fingerprint. `healed`: findings that the run no longer found. `pictures` and `tables` (title, head, rows)
    are placed before the findings.
    """

    heading: str
    result: RunResult
    prose: str = ""
    expectations: Mapping[str, Verdict] | None = None
    exit_code: ExitCode | None = None
    known: Mapping[str, StoredFinding] = field(default_factory=dict)
    healed: Sequence[StoredFinding] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = ()


def render_html(
    sections: Sequence[ReportSection],
    *,
    title: str,
    trend: Sequence[RunSummary] = (),
    headline_of: ReportSection | None = None,
) -> str:
    """The report as one self-contained HTML document.

    `trend`: earlier runs, newest first (`History.runs`). `headline_of`: the section that the headline is about; by default
    the last one.
    """
    cleaned = [
        replace(
            item,
            heading=clean(item.heading),
            prose=clean(item.prose),
            result=clean_result(item.result),
            healed=_cleaned(item.healed),
        )
        for item in sections
    ]
    return _template().render(
        title=clean(title),
        sections=cleaned,
        overview=_overview(cleaned) if _comparable(cleaned) else [],
        trend=list(reversed(trend)),
        latest=clean_result((headline_of or sections[-1]).result) if sections else None,
    )


def section_of(
    result: RunResult, history: History, *, heading: str = "", exit_code: ExitCode | None = None
) -> ReportSection:
    """A run as a section of the report, with the state of its findings from the history."""
    prints = (finding.fingerprint for item in result.outcomes for finding in item.judgement.findings)
    return ReportSection(
        heading=heading or f"{result.stack}, phase {result.phase}",
        result=result,
        exit_code=exit_code,
        known={name: known for name in prints if (known := history.finding(name)) is not None},
        healed=history.healed_since(result.started_at),
    )


def _cleaned(healed: Sequence[StoredFinding]) -> list[StoredFinding]:
    return [replace(item, finding=clean_finding(item.finding)) for item in healed]


def _states(section: ReportSection) -> str:
    """`2 new, 1 persisting, 3 healed`, or "" without a history."""
    counts = Counter(item.state.value for item in section.known.values())
    counts["healed"] = len(section.healed)
    return ", ".join(f"{counts[name]} {name}" for name in ("new", "persisting", "healed") if counts[name])


def _comparable(sections: Sequence[ReportSection]) -> bool:
    """Whether an overview is useful: there are expectations, or several sections judged the same check."""
    if any(item.expectations for item in sections):
        return True
    judged = [outcome.check_id for section in sections for outcome in section.result.outcomes]
    return len(set(judged)) < len(judged)


@dataclass(frozen=True, slots=True)
class OverviewCell:
    """One check in one section: its outcome and the planned verdict."""

    outcome: Outcome | None
    expected: Verdict | None

    @property
    def as_planned(self) -> bool | None:
        """Whether the verdict is the planned one; None without a plan."""
        if self.expected is None:
            return None
        return self.outcome is not None and self.outcome.verdict is self.expected


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """One check in all sections."""

    check_id: str
    title: str
    cells: tuple[OverviewCell, ...]


def _overview(sections: Sequence[ReportSection]) -> list[OverviewRow]:
    """Every check that a section judged or planned, by ID."""
    outcomes = [{item.check_id: item for item in section.result.outcomes} for section in sections]
    names: dict[str, str] = {}
    for section, judged in zip(sections, outcomes, strict=True):
        for check_id in (*judged, *(section.expectations or {})):
            names[check_id] = judged[check_id].title if check_id in judged else names.get(check_id, "")
    return [
        OverviewRow(
            check_id,
            title,
            tuple(
                OverviewCell(judged.get(check_id), (section.expectations or {}).get(check_id))
                for section, judged in zip(sections, outcomes, strict=True)
            ),
        )
        for check_id, title in sorted(names.items())
    ]


def _planned(rows: Sequence[OverviewRow]) -> tuple[int, int]:
    """How many verdicts are as planned, and how many were planned."""
    cells = [cell for row in rows for cell in row.cells if cell.as_planned is not None]
    return sum(bool(cell.as_planned) for cell in cells), len(cells)


def _unseen(result: RunResult) -> list[tuple[str, str]]:
    """The limitations of this run as (check, text): inconclusive checks, what a technique cannot see, and missing grants."""
    limitations = [
        (item.check_id, what)
        for item in ranked(result.outcomes)
        for part in item.judgement.coverage
        for what in part.unseen
    ]
    unknown = [
        (item.check_id, f"not judged: {item.judgement.reason}")
        for item in ranked(result.outcomes)
        if item.verdict is Verdict.INCONCLUSIVE
    ]
    not_granted = [
        (item.check_id, item.judgement.reason)
        for item in ranked(result.outcomes)
        if item.verdict is Verdict.NOT_APPLICABLE and item.judgement.reason.startswith("not granted")
    ]
    return list(dict.fromkeys([*unknown, *limitations, *not_granted]))


def _not_applicable(result: RunResult) -> dict[str, list[Outcome]]:
    """Checks that do not apply, by reason."""
    groups: dict[str, list[Outcome]] = {}
    for item in ranked(result.outcomes):
        if item.verdict is Verdict.NOT_APPLICABLE:
            groups.setdefault(item.judgement.reason or "no reason stated", []).append(item)
    return groups


def _bars(trend: Sequence[RunSummary]) -> list[dict[str, Any]]:
    """Bar heights by verdict, in percent of the run with the most checks."""
    most = max((sum(run.counts.values()) for run in trend), default=0) or 1
    return [
        {"run": run, "parts": [(verdict, 100 * run.count(verdict) / most) for verdict in reversed(ORDER)]}
        for run in trend
    ]


def _exit_code(section: ReportSection) -> ExitCode:
    return section.result.exit_code() if section.exit_code is None else section.exit_code


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("verifier.render"),
        autoescape=True,  # keys and nicknames are untrusted input
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers: tuple[Callable[..., Any], ...] = (
        about,
        at_text,
        clock_text,
        conclusion,
        duration_text,
        headline,
        number,
        phase_text,
        plural,
        ranked,
    )
    environment.globals.update({function.__name__: function for function in helpers})
    environment.globals.update(
        MARKS=MARKS,
        ORDER=ORDER,
        Verdict=Verdict,
        Severity=Severity,
        EXIT_MEANING=EXIT_MEANING,
        planned=_planned,
        unseen=_unseen,
        not_applicable=_not_applicable,
        bars=_bars,
        exit_code=_exit_code,
        states=_states,
    )
    return environment.get_template("report.html.j2")
