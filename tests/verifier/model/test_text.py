"""The sentences that all renderers share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verifier.render.samples import healthy_result, mixed_result
from verifier.model.text import conclusion, duration_text, headline, ranked, reason_group
from verifier.model.verdict import RunResult, Verdict


def test_the_headline_counts_verdicts_and_reasons() -> None:
    """Verdicts in a fixed order; the reasons of not applicable checks by frequency."""
    assert headline(mixed_result()) == (
        "6 hold, 3 violated, 1 inconclusive, 1 waived, 5 not applicable "
        "(canary off 2, no declaration 1, policy 1, empty 1)"
    )


def test_the_headline_names_what_is_not_mapped() -> None:
    """Each name once, so that the reader can map it or declare it absent."""
    result = _only(mixed_result(), Verdict.NOT_APPLICABLE)
    reasons = ("not mapped: column users.phone", "not mapped: relation reports", "not mapped: column users.phone")
    outcomes = tuple(
        replace(item, judgement=replace(item.judgement, reason=reason))
        for item, reason in zip(result.outcomes, reasons, strict=False)
    )
    assert headline(replace(result, outcomes=outcomes)) == (
        "3 not applicable (not mapped 3: column users.phone, relation reports)"
    )


def _only(result: RunResult, *verdicts: Verdict) -> RunResult:
    return replace(result, outcomes=tuple(item for item in result.outcomes if item.verdict in verdicts))


def test_the_conclusion_names_the_worst_verdict() -> None:
    """Violated comes before inconclusive before holds; without a judged check it does not say that everything holds."""
    mixed = mixed_result()
    assert conclusion(mixed) == "3 invariants are violated"
    assert conclusion(replace(mixed, interrupted=True)) == "Interrupted: 3 invariants are violated"
    assert conclusion(_only(mixed, Verdict.INCONCLUSIVE, Verdict.HOLDS)) == "1 invariant could not be judged"
    assert conclusion(healthy_result()) == "Everything applicable holds"
    partial = replace(healthy_result(), interrupted=True)
    assert conclusion(partial) == "Interrupted: everything that was judged holds"
    assert conclusion(_only(mixed, Verdict.NOT_APPLICABLE)) == "Nothing was judged"
    assert conclusion(_only(mixed)) == "Nothing was judged"
    assert headline(_only(mixed)) == "nothing was judged"


def test_urgent_outcomes_come_first() -> None:
    """Violated before inconclusive before the rest; critical before medium; then by ID."""
    ids = [item.check_id for item in ranked(mixed_result().outcomes)]
    assert ids[:5] == ["MSG-01", "USR-01", "USR-05", "MQ-01", "CNV-01"]


@pytest.mark.parametrize(
    ("reason", "group"),
    [
        ("canary off: the profile has no [canary]", "canary off"),
        ("phase: applies from P3 frozen on, the stack is in P2", "phase"),
        ("not mapped: relation reports", "not mapped"),
        ("not granted: media.allowed_hosts names no host", "not granted"),
        ("", ""),
    ],
)
def test_reasons_are_grouped_by_their_first_words(reason: str, group: str) -> None:
    """The group is short, so that the headline stays on one line."""
    assert reason_group(reason) == group


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (-1, "0.0 s"), (1.44, "1.4 s"), (59.4, "59 s"), (74, "1 min 14 s"), (3900, "1 h 5 min")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    """At most two units."""
    assert duration_text(seconds) == text
