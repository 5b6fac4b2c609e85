"""JSON, JUnit and HTML: for machines, for CI servers, for people."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest

from tests.verifier.render.samples import BACKDATED, START, finding, healthy_result, mixed_result, outcome, violated
from verifier.history.records import FindingState, RunKind, RunState, RunSummary, StoredFinding
from verifier.model.invariant import Severity
from verifier.model.verdict import Coverage, ExitCode, Judgement, RunResult, Verdict
from verifier.render.html import ReportSection, render_html
from verifier.render.json import json_schema, to_json
from verifier.render.junit import to_junit

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJVc2VySUQiOiJ1MSIsIlBsYXRmb3JtSUQiOjV9.c2lnbmF0dXJl"
PLANTED = f"{JWT} postgresql://app:hunter2@db/users im:token:u1 = 3f9c0d8e7b6a5f4e3d2c1b0a"
SECRETS = (JWT, JWT.split(".")[1], "hunter2", "3f9c0d8e7b6a5f4e3d2c1b0a", "the raw key")


def leaking_result() -> RunResult:
    """A secret in every text that a run can hold."""
    breach = replace(
        finding(
            "USR-01", PLANTED, PLANTED, PLANTED, PLANTED, PLANTED, evidence={PLANTED: PLANTED, "password": "hunter2"}
        ),
        raw_key="the raw key",
    )
    judgement = violated(
        [breach], coverage=Coverage(1, 1, PLANTED, PLANTED, (PLANTED,)), notes=(PLANTED,), queries=(PLANTED,)
    )
    judgements = [
        replace(judgement, reason=PLANTED),
        replace(judgement, verdict=Verdict.WAIVED, reason=PLANTED),
        Judgement.inconclusive(PLANTED, notes=(PLANTED,)),
        Judgement.not_applicable(PLANTED),
    ]
    outcomes = tuple(outcome(f"X-{number}", PLANTED, Severity.HIGH, item) for number, item in enumerate(judgements))
    return replace(mixed_result(), stack=PLANTED, outcomes=outcomes, notes=(PLANTED,), reads={PLANTED: 1})


def page(*results: RunResult, **options: Any) -> str:
    """A report of these results."""
    sections = [
        ReportSection(heading=f"Run {number}", result=result, **options) for number, result in enumerate(results)
    ]
    return render_html(sections, title="Report")


@pytest.mark.parametrize(
    "render",
    [
        lambda result: json.dumps(to_json(result), ensure_ascii=False),
        to_junit,
        lambda result: render_html([ReportSection(heading=PLANTED, prose=PLANTED, result=result)], title=PLANTED),
    ],
    ids=["json", "junit", "html"],
)
def test_no_renderer_lets_a_secret_out(render: Any) -> None:
    """Planted in every text field; the raw key of a finding is no renderer's business either."""
    text = render(leaking_result())
    assert "[hidden]" in text
    for secret in SECRETS:
        assert secret not in text


# -- JSON --


def test_json_fits_its_published_schema() -> None:
    """The schema that is shipped is the one that the code makes, and documents fit it."""
    shipped = json.loads((files("verifier.render") / "schema" / "run-1.json").read_text(encoding="utf-8"))
    assert shipped == json_schema(), "the shape changed: add fields only, then write the schema file anew"
    for result in (mixed_result(), healthy_result(), leaking_result(), replace(mixed_result(), outcomes=())):
        jsonschema_rs.validate(shipped, json.loads(json.dumps(to_json(result))))


def test_json_says_what_the_run_said() -> None:
    """Counts of every verdict, findings with their total, the exit code of the process."""
    document = to_json(mixed_result(), exit_code=ExitCode.INCONCLUSIVE)
    assert document["counts"] == {"violated": 3, "inconclusive": 1, "holds": 6, "waived": 1, "not_applicable": 5}
    assert (document["format"], document["version"], document["exit_code"]) == ("openim-ssot-verifier/run", 1, 2)
    users = next(item for item in document["checks"] if item["id"] == "USR-01")
    assert (users["findings_total"], len(users["findings"])) == (16, 4)
    assert users["findings"][0]["recheck_command"].startswith("verifier recheck ")
    assert users["findings"][0]["confirmed_at"] == "2026-11-23T02:17:09.500000Z"
    assert to_json(mixed_result())["exit_code"] == 1


# -- JUnit --


def test_junit_maps_every_verdict() -> None:
    """violated = failure, inconclusive = error, waived and not applicable = skipped with the reason."""
    root = ET.fromstring(to_junit(mixed_result()))  # noqa: S314 - our own document
    assert [suite.get("name") for suite in root] == ["critical invariants", "high invariants", "medium invariants"]
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "16",
        "failures": "3",
        "errors": "1",
        "skipped": "6",
    }
    cases = {case.get("name", "").split()[0]: case for case in root.iter("testcase")}
    failure, skipped = cases["USR-01"].find("failure"), cases["KEEP-03"].find("skipped")
    assert failure is not None
    assert failure.get("message") == "16 findings"
    assert "verifier recheck" in (failure.text or "")
    assert "and 12 more" in (failure.text or "")
    assert skipped is not None
    assert skipped.get("message") == "not applicable: policy: friends are not mirrored"
    said = cases["CNV-01"].find("system-out")
    assert said is not None
    assert "not visible here" in (said.text or "")
    assert sum(int(suite.get("tests", "0")) for suite in root) == 16


def test_junit_skips_an_accepted_blindness_and_says_so() -> None:
    """It may not fail the pipeline, and it may not vanish."""
    root = ET.fromstring(to_junit(mixed_result(), accepted={"MQ-01": "no management plugin until May"}))  # noqa: S314
    assert root.get("errors") == "0"
    texts = [item.get("message", "") for item in root.iter("skipped")]
    assert any(text.startswith("accepted as inconclusive (no management plugin until May): broker") for text in texts)


def test_junit_is_xml_whatever_a_key_holds() -> None:
    """Control characters, half surrogates, quotes and tags survive as text."""
    hostile = finding("X-1", "a\0b\udc80\uffff ]]> <tag attr='\"'>", "s", "e", "a")
    result = replace(
        mixed_result(),
        outcomes=(outcome("X-1", "t & <t>", Severity.HIGH, violated([hostile], coverage=Coverage(1, 1))),),
    )
    text = to_junit(result)
    failure = next(ET.fromstring(text.encode()).iter("failure"))  # noqa: S314 - our own document
    assert "a\\x00b\\udc80\\uffff ]]> <tag attr='\"'>" in (failure.text or "")


# -- HTML --

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Checks that every tag is closed in order; collects ids, attributes, text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if re.fullmatch(r"h\d", tag):
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Must close what was opened last."""
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect it, styles and scripts aside."""
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def outline(document: str) -> Outline:
    """Parse a page and demand that it is well nested."""
    parser = Outline()
    parser.feed(document)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_is_well_made_and_complete() -> None:
    """Nested properly, unique ids, one h1; every check, finding, query, note, blind spot and fact is in it."""
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
        "and 12 more that the run did not write out",
        "POST /user/account_check",
        "group_invites = kept is a default",
        "user_db 34",
        "frozen (P3)",
        "1 min 14 s",
    ):
        assert said in words


def test_the_page_needs_nothing_else() -> None:
    """No request leaves it: no address in any attribute or style, and a policy that forbids them."""
    document = page(mixed_result(), healthy_result())
    parsed = outline(document)
    assert ("meta", "http-equiv", "Content-Security-Policy") in parsed.attributes
    for tag, name, value in parsed.attributes:
        if name in ("src", "href", "action", "srcset", "data", "poster"):
            assert value.startswith("#"), f"<{tag} {name}={value!r}>"
    assert "@import" not in document
    assert "url(" not in document


def test_hostile_text_stays_text() -> None:
    """Nicknames with markup are shown, not run; neither heading nor evidence nor a copied command gets out of its place."""
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


def test_expectations_stand_beside_what_came_out() -> None:
    """The demo's page says at the top whether everything came out as planned, and marks what did not."""
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


def test_history_is_shown_where_it_is_given() -> None:
    """Age of findings, earlier runs as a picture and as a table."""
    stored = StoredFinding(
        fingerprint=BACKDATED.fingerprint,
        check_id="MSG-01",
        severity=Severity.CRITICAL,
        state=FindingState.PERSISTING,
        first_seen_at=START - timedelta(days=3),
        last_seen_at=START,
        healed_at=None,
        times_seen=4,
        raw_key="the raw key",
        finding=BACKDATED,
    )
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


def test_an_empty_report_is_a_page() -> None:
    """Nothing to show is said, not green."""
    assert "Nothing was run" in render_html([], title="Report")
    assert "Nothing was judged" in page(replace(mixed_result(), outcomes=()))


def test_a_million_characters_do_not_make_the_page_explode() -> None:
    """A nickname of 1 MB is cut, and its length is said."""
    long = finding("X-1", "u1", "x" * 1_000_000, "e", "a")
    result = replace(
        mixed_result(),
        outcomes=(outcome("X-1", "t", Severity.HIGH, violated([long], coverage=Coverage(1, 1))),),
    )
    document = page(result)
    assert len(document) < 100_000
    assert "(1000000 characters)" in document
