"""The HTML report."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

from tests.verifier.render.samples import (
    BACKDATED,
    START,
    finding,
    healthy_result,
    mixed_result,
    outcome,
    stored_finding,
    violated,
)
from verifier.history.records import RunKind, RunState, RunSummary
from verifier.model.invariant import Severity
from verifier.model.verdict import Coverage, Judgement, RunResult, Verdict
from verifier.render.html import ReportSection, render_html


def page(*results: RunResult, **options: Any) -> str:
    """A report of these results."""
    sections = [
        ReportSection(heading=f"Run {number}", result=result, **options) for number, result in enumerate(results)
    ]
    return render_html(sections, title="Report")


VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Checks that tags are nested correctly; collects IDs, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the tag and its attributes."""
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if re.fullmatch(r"h\d", tag):
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """The tag must be the one opened last."""
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect text, except styles and scripts."""
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def outline(document: str) -> Outline:
    """Parse a page and check its nesting."""
    parser = Outline()
    parser.feed(document)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_is_valid_and_complete() -> None:
    """Correct nesting, unique IDs, one h1. Every check, finding, query, note and limitation is in it."""
    parsed = outline(page(mixed_result()))
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.headings.count("h1") == 1
    words = " ".join(" ".join(parsed.text).split())
    for item in mixed_result().outcomes:
        assert item.check_id in words
        assert item.title in words
        assert item.judgement.reason in words
    for said in (
        "3 invariants are violated",
        "What this run could not see",
        "an insert that was deleted again",
        "verifier recheck",
        "and 12 more that are not listed",
        "POST /user/account_check",
        "group_invites = kept is a default",
        "user_db 34",
        "frozen (P3)",
        "1 min 14 s",
    ):
        assert said in words


def test_the_page_is_self_contained() -> None:
    """It makes no request: no URL in any attribute or style, and a content security policy."""
    document = page(mixed_result(), healthy_result())
    parsed = outline(document)
    assert ("meta", "http-equiv", "Content-Security-Policy") in parsed.attributes
    for tag, name, value in parsed.attributes:
        if name in ("src", "href", "action", "srcset", "data", "poster"):
            assert value.startswith("#"), f"<{tag} {name}={value!r}>"
    assert "@import" not in document
    assert "url(" not in document


def test_markup_in_values_is_escaped() -> None:
    """Nicknames with markup are shown as text, in headings, evidence and commands."""
    hostile = "\"><script>alert(1)</script>'{{ 7*7 }}<!--"
    breach = finding("X-1", hostile, hostile, hostile, hostile, hostile, evidence={hostile: hostile})
    result = replace(
        mixed_result(),
        stack=hostile,
        notes=(hostile,),
        outcomes=(
            outcome(
                "X-1",
                hostile,
                Severity.HIGH,
                violated([replace(breach, fingerprint=hostile)], coverage=Coverage(1, 1, hostile)),
            ),
            outcome("X-2", hostile, Severity.HIGH, Judgement.inconclusive(hostile)),
        ),
    )
    document = render_html([ReportSection(heading=hostile, prose=hostile, result=result)], title=hostile)
    parsed = outline(document)
    assert document.count("<script>") == 1
    assert "alert(1)" in "".join(parsed.text)
    assert not any(name.startswith("on") for _, name, _ in parsed.attributes)
    assert "49" not in "".join(parsed.text)


def test_planned_verdicts_are_compared() -> None:
    """The page of the demo says whether all verdicts are as planned, and marks those that are not."""
    healthy, mixed = healthy_result(), mixed_result()
    plans = [{item.check_id: item.verdict for item in result.outcomes} for result in (healthy, mixed)]

    def demo(first: dict[str, Verdict], second: dict[str, Verdict]) -> str:
        sections = [
            ReportSection(heading="Healthy", result=healthy, expectations=first),
            ReportSection(heading="Frozen", result=mixed, expectations=second),
        ]
        document = render_html(sections, title="Demo")
        return " ".join(" ".join(outline(document).text).split())

    assert "All 32 verdicts are as planned" in demo(plans[0], plans[1])
    surprised = demo(plans[0], {**plans[1], "TOK-01": Verdict.VIOLATED, "X-9": Verdict.HOLDS})
    assert "2 of 33 verdicts are not as planned" in surprised
    assert "planned: violated" in surprised
    assert "not run planned: holds" in surprised


def test_the_history_is_shown() -> None:
    """The age of findings, and earlier runs as a chart and as a table."""
    stored = stored_finding(raw_key="the raw key")
    trend = [
        RunSummary(
            run_id=f"r{number}",
            stack="s",
            phase="frozen",
            kind=RunKind.RUN,
            state=RunState.INTERRUPTED if number == 1 else RunState.FINISHED,
            started_at=START - timedelta(days=number),
            ended_at=START - timedelta(days=number),
            counts={Verdict.HOLDS: 30, Verdict.VIOLATED: number},
        )
        for number in range(3)
    ]
    sections = [ReportSection(heading="Run", result=mixed_result(), known={BACKDATED.fingerprint: stored})]
    words = " ".join(" ".join(outline(render_html(sections, title="Report", trend=trend)).text).split())
    assert "in 4 runs since 2026-11-20 02:17:00 UTC" in words
    assert "2026-11-22 02:17:00 UTC frozen (P3) interrupted" in words
    assert "the raw key" not in words


def test_an_empty_report_says_so() -> None:
    """A report without runs or checks does not look green."""
    assert "Nothing was run" in render_html([], title="Report")
    assert "Nothing was judged" in page(replace(mixed_result(), outcomes=()))


def test_long_values_are_truncated() -> None:
    """A nickname of 1 MB is truncated, and its length is shown."""
    long = finding("X-1", "u1", "x" * 1_000_000, "e", "a")
    result = replace(
        mixed_result(),
        outcomes=(outcome("X-1", "t", Severity.HIGH, violated([long], coverage=Coverage(1, 1))),),
    )
    document = page(result)
    assert len(document) < 100_000
    assert "(1000000 characters)" in document
