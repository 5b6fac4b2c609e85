"""Words, symbols and number formats that all renderers share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from verifier.model.invariant import Phase, Severity
from verifier.model.verdict import ExitCode, Outcome, RunResult, Verdict

ORDER = (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS, Verdict.WAIVED, Verdict.NOT_APPLICABLE)
"""The order of verdicts in reports: those that need attention come first."""

NOT_MAPPED = "not mapped: "
"""How the reason of a check begins that needs what the profile does not map."""

NAMES_SHOWN = 6
"""How many of these names the headline lists."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How a verdict is shown: a symbol, its ASCII form, the word for one and for a count, and a terminal style."""

    symbol: str
    plain: str
    word: str
    counted: str
    style: str


MARKS = {
    Verdict.VIOLATED: Mark("✗", "x", "violated", "violated", "bold red"),
    Verdict.INCONCLUSIVE: Mark("?", "?", "inconclusive", "inconclusive", "bold yellow"),
    Verdict.HOLDS: Mark("✓", "+", "holds", "hold", "green"),
    Verdict.WAIVED: Mark("~", "~", "waived", "waived", "magenta"),
    Verdict.NOT_APPLICABLE: Mark("–", "-", "not applicable", "not applicable", "bright_black"),
}

EXIT_MEANING = {
    ExitCode.HOLDS: "everything applicable holds",
    ExitCode.VIOLATED: "something is violated",
    ExitCode.INCONCLUSIVE: "nothing is known to be violated, but not everything could be judged",
    ExitCode.USAGE: "the command or the profile is wrong",
    ExitCode.UNDELIVERED: "a report or an alert could not be delivered",
    ExitCode.INTERNAL: "the verifier failed; please report it",
    ExitCode.INTERRUPTED: "interrupted; the checks that were judged before are listed above",
}

_SEVERITIES = list(Severity)
_NATURAL = re.compile(r"(\d+)")


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Sort by verdict, violated and inconclusive ones then by severity, and finally by ID."""

    def rank(outcome: Outcome) -> tuple[int, int, list[str]]:
        urgent = outcome.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE)
        severity = _SEVERITIES.index(outcome.severity) if urgent else 0
        return ORDER.index(outcome.verdict), severity, _NATURAL.split(outcome.check_id)

    return sorted(outcomes, key=rank)


def reason_group(reason: str) -> str:
    """The first words of a reason: that of `canary off: no [canary] in the profile` is `canary off`."""
    head = re.split(r"[:;,(]|\. | - | '", reason, maxsplit=1)[0].strip().rstrip(".")
    return head if len(head) <= 60 else f"{head[:59].rstrip()}…"


def reason_counts(outcomes: Sequence[Outcome], verdict: Verdict) -> list[tuple[str, int]]:
    """The number of checks with `verdict` for each group of reasons, the most frequent group first."""
    groups = Counter(reason_group(item.judgement.reason) for item in outcomes if item.verdict is verdict)
    groups.pop("", None)
    return groups.most_common()


def headline(result: RunResult) -> str:
    """`23 hold, 2 violated, 1 inconclusive, 4 not applicable (phase 2, canary off 1, empty 1)`."""
    order = (Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.WAIVED, Verdict.NOT_APPLICABLE)
    parts = [f"{count} {MARKS[verdict].counted}" for verdict in order if (count := result.count(verdict))]
    if not parts:
        return "nothing was judged"
    reasons = ", ".join(_reasons(result.outcomes))
    pending = sum(item.pending for item in result.outcomes)
    waiting = f"; {pending} of them pending" if pending else ""
    return ", ".join(parts) + (f" ({reasons})" if reasons else "") + waiting


def _reasons(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """`phase 9`, `not mapped 3: column users.phone, relation reports`."""
    names = dict.fromkeys(
        item.judgement.reason.removeprefix(NOT_MAPPED)
        for item in outcomes
        if item.verdict is Verdict.NOT_APPLICABLE and item.judgement.reason.startswith(NOT_MAPPED)
    )
    shown = ", ".join(list(names)[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
    for reason, count in reason_counts(outcomes, Verdict.NOT_APPLICABLE):
        yield f"{reason} {count}" + (f": {shown}" if NOT_MAPPED.startswith(reason) else "")


def conclusion(result: RunResult) -> str:
    """The result in one sentence."""
    counts = Counter(item.verdict for item in result.counted)
    violated, inconclusive, holds = (
        counts[verdict] for verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS)
    )
    if violated:
        text = f"{violated} {plural('invariant', violated)} {'is' if violated == 1 else 'are'} violated"
    elif inconclusive:
        text = f"{inconclusive} {plural('invariant', inconclusive)} could not be judged"
    elif holds:
        text = "everything that was judged holds" if result.interrupted else "everything applicable holds"
    else:
        text = "nothing was judged"
    return f"Interrupted: {text}" if result.interrupted else f"{text[0].upper()}{text[1:]}"


def plural(noun: str, count: int) -> str:
    """The noun for a count: `finding` for 1, otherwise `findings`."""
    return noun if count == 1 else f"{noun}s"


def number(value: int) -> str:
    """The number with thin spaces between the thousands."""
    return f"{value:,}".replace(",", "\u202f")


def phase_text(phase: str) -> str:
    """`cutover (P2)`."""
    try:
        return f"{phase} ({Phase(phase).code})"
    except ValueError:
        return phase


def at_text(at: datetime) -> str:
    """A time to the second, in UTC: `2026-01-31 02:00:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock_text(at: datetime) -> str:
    """The time of day in UTC with milliseconds: `02:00:00.123`."""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def duration_text(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s"
    return f"{minutes // 60} h {minutes % 60} min"


def about(outcome: Outcome) -> str:
    """The reason of a verdict or, if there is none, its coverage. Marks a pending check as not counted. Never empty."""
    text = outcome.judgement.reason or outcome.coverage_text or "no coverage stated"
    return f"pending, not counted: {text}" if outcome.pending else text
