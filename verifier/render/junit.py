"""JUnit XML for Jenkins, GitLab and GitHub Actions: one suite per severity, one case per invariant."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from verifier.model.finding import Finding
from verifier.model.invariant import Severity
from verifier.model.redact import clean_result
from verifier.model.text import at_text, headline, number, plural
from verifier.model.verdict import Judgement, Outcome, RunResult, Verdict

FINDINGS_MAX = 50
"""Findings listed per case, because CI servers do not handle megabytes of failure text."""


def to_junit(result: RunResult, *, accepted: Mapping[str, str] | None = None) -> str:
    """The run as an XML document.

    `violated` is a failure and `inconclusive` an error; `not_applicable` and `waived` are skipped with their reason.
    `accepted` maps checks to the reason why their inconclusive verdict is accepted; these are skipped as well.
    """
    result = clean_result(result)
    accepted = accepted or {}
    root = ET.Element("testsuites", name=f"verifier {result.stack} {result.phase}", time=_seconds(_duration_s(result)))
    for severity in Severity:
        outcomes = [item for item in result.outcomes if item.severity is severity]
        if outcomes:
            _add_suite(root, severity, outcomes, result, accepted)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _add_suite(
    root: ET.Element, severity: Severity, outcomes: list[Outcome], result: RunResult, accepted: Mapping[str, str]
) -> None:
    suite = ET.SubElement(
        root,
        "testsuite",
        name=f"{severity.label} invariants",
        timestamp=result.started_at.isoformat(timespec="seconds"),
        hostname=result.stack,
        time=_seconds(sum(item.duration_s for item in outcomes)),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (("run_id", result.run_id), ("phase", result.phase), ("headline", headline(result))):
        ET.SubElement(properties, "property", name=name, value=value)
    cases = [_add_case(suite, outcome, accepted) for outcome in outcomes]
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))


def _add_case(suite: ET.Element, outcome: Outcome, accepted: Mapping[str, str]) -> ET.Element:
    judgement = outcome.judgement
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"verifier.{outcome.check_id.partition('-')[0]}",
        name=f"{outcome.check_id} {outcome.title}",
        time=_seconds(outcome.duration_s),
    )
    match outcome.verdict:
        case Verdict.VIOLATED | Verdict.INCONCLUSIVE as verdict if outcome.pending:
            text = f"pending, not accepted yet: {verdict.value}: {_about(judgement)}"
            ET.SubElement(case, "skipped", message=text)
        case Verdict.VIOLATED:
            total = max(judgement.findings_total, len(judgement.findings))
            message = f"{number(total)} {plural('finding', total)}"
            message += f": {judgement.reason}" if judgement.reason else ""
            ET.SubElement(case, "failure", message=message, type=Verdict.VIOLATED.value).text = _findings_text(
                judgement.findings, total
            )
        case Verdict.INCONCLUSIVE if outcome.check_id in accepted:
            text = f"accepted as inconclusive ({accepted[outcome.check_id]}): {judgement.reason}"
            ET.SubElement(case, "skipped", message=text)
        case Verdict.INCONCLUSIVE:
            ET.SubElement(case, "error", message=judgement.reason, type=Verdict.INCONCLUSIVE.value)
        case Verdict.WAIVED | Verdict.NOT_APPLICABLE as verdict:
            word = verdict.value.replace("_", " ")
            ET.SubElement(case, "skipped", message=f"{word}: {judgement.reason}".removesuffix(": "))
        case Verdict.HOLDS:
            pass
    lines = [f"coverage: {outcome.coverage_text}"] if outcome.coverage_text else []
    lines += [f"note: {note}" for note in judgement.notes]
    lines += [f"query: {query}" for query in judgement.queries]
    if lines:
        ET.SubElement(case, "system-out").text = "\n".join(lines)
    return case


def _about(judgement: Judgement) -> str:
    total = max(judgement.findings_total, len(judgement.findings))
    return judgement.reason or f"{number(total)} {plural('finding', total)}"


def _findings_text(findings: tuple[Finding, ...], total: int) -> str:
    blocks = [_finding_text(finding) for finding in findings[:FINDINGS_MAX]]
    more = total - len(blocks)
    return "\n\n".join([*blocks, f"and {number(more)} more (see the report)"] if more > 0 else blocks)


def _finding_text(finding: Finding) -> str:
    lines = [
        f"{finding.key}: {finding.summary}",
        f"  expected: {finding.expected}",
        f"  actual:   {finding.actual}",
        *(f"  {name}: {value}" for name, value in finding.evidence.items()),
        f"  seen:     {at_text(finding.first_seen_at)}, again {at_text(finding.confirmed_at)}",
        f"  recheck:  {finding.recheck_command}",
    ]
    return "\n".join([*lines, f"  next:     {finding.next_step}"] if finding.next_step else lines)


def _duration_s(result: RunResult) -> float:
    return (result.ended_at - result.started_at).total_seconds()


def _seconds(value: float) -> str:
    return f"{value:.3f}"
