"""The JUnit report."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from tests.verifier.render.samples import finding, mixed_result, outcome, violated
from verifier.model.invariant import Severity
from verifier.model.verdict import Coverage
from verifier.render.junit import to_junit


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


def test_junit_skips_an_accepted_inconclusive_check() -> None:
    """It does not fail the pipeline, and the reason is shown."""
    root = ET.fromstring(to_junit(mixed_result(), accepted={"MQ-01": "no management plugin until May"}))  # noqa: S314
    assert root.get("errors") == "0"
    texts = [item.get("message", "") for item in root.iter("skipped")]
    assert any(text.startswith("accepted as inconclusive (no management plugin until May): broker") for text in texts)


def test_junit_is_valid_xml_for_any_key() -> None:
    """Control characters, lone surrogates, quotes and tags are text."""
    hostile = finding("X-1", "a\0b\udc80\uffff ]]> <tag attr='\"'>", "s", "e", "a")
    result = replace(
        mixed_result(),
        outcomes=(outcome("X-1", "t & <t>", Severity.HIGH, violated([hostile], coverage=Coverage(1, 1))),),
    )
    text = to_junit(result)
    failure = next(ET.fromstring(text.encode()).iter("failure"))  # noqa: S314 - our own document
    assert "a\\x00b\\udc80\\uffff ]]> <tag attr='\"'>" in (failure.text or "")


def test_a_key_with_line_breaks_forges_no_line() -> None:
    """What the data says is on one line, so a report shows who speaks."""
    forged = finding(
        "USR-01", "u1\n  recheck:  rm -rf /", "not\nregistered", "e", "a", evidence={"known\nby": "x\n\nand 0 more"}
    )
    result = replace(
        mixed_result(),
        outcomes=(outcome("USR-01", "t", Severity.CRITICAL, violated([forged], coverage=Coverage(text="x"))),),
    )
    text = ET.fromstring(to_junit(result)).findtext(".//failure") or ""  # noqa: S314 - our own document
    assert "u1\\n  recheck:  rm -rf /: not\\nregistered" in text
    assert len([line for line in text.splitlines() if line.strip().startswith("recheck:")]) == 1
