"""Findings that a proof remembers from run to run, because its source cannot be read a second time.

A tap queue is emptied by reading it, and a journal is replaced by the next one. A breach that was seen there is still a breach
in the next run, which no longer finds it. It stays a finding until `verifier baseline` accepts it, or until a later reading
proves it settled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from verifier.model.finding import Finding
from verifier.model.invariant import Problem
from verifier.model.redact import clean
from verifier.proofs.context import Context

OPEN_MAX = 1000
"""How many findings are kept with their texts. Of further ones the number is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenFinding:
    """A finding of an earlier run. `judged_since`: how many records were judged since it was last seen."""

    raw_key: str = field(repr=False)
    key: str
    problem: Problem
    first_seen_at: datetime
    last_seen_at: datetime
    judged_since: int = 0

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for the history, without secrets in its texts."""
        problem = self.problem
        return {
            "raw_key": self.raw_key,
            "key": clean(self.key),
            "summary": clean(problem.summary),
            "expected": clean(problem.expected),
            "actual": clean(problem.actual),
            "next_step": clean(problem.next_step),
            "evidence": {name: clean(text) for name, text in problem.evidence.items()},
            "first_seen_at": self.first_seen_at.isoformat(),
            "last_seen_at": self.last_seen_at.isoformat(),
            "judged_since": self.judged_since,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> OpenFinding:
        """Inverse of `to_json`."""
        return cls(
            raw_key=raw["raw_key"],
            key=raw["key"],
            problem=Problem(
                key=raw["key"],
                summary=raw["summary"],
                expected=raw["expected"],
                actual=raw["actual"],
                next_step=raw["next_step"],
                evidence=raw["evidence"],
            ),
            first_seen_at=datetime.fromisoformat(raw["first_seen_at"]),
            last_seen_at=datetime.fromisoformat(raw["last_seen_at"]),
            judged_since=raw["judged_since"],
        )


Settled = Callable[[OpenFinding], bool]


class OpenFindings:
    """The open findings of one proof over one source. Every change is put into the context's watermarks at once.

    The engine commits the watermarks together with the verdict, also when the check fails or runs out of time.
    """

    def __init__(self, context: Context, source: str) -> None:
        self._context = context
        self._slot = f"{context.proof_index}:{source} open findings"
        self._open: dict[str, OpenFinding] = {}
        self._more = self._more_now = 0
        self._seen: set[str] = set()
        self._load(context.memory.watermark(context.check_id, self._slot) or {})

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take over the `state` of an interrupted run, whose watermarks were not committed."""
        self._load(state)
        self._keep()

    @property
    def state(self) -> Mapping[str, Any]:
        """What is remembered, as JSON: the watermark."""
        return {"findings": [item.to_json() for item in self._open.values()], "more": self._more + self._more_now}

    def _load(self, state: Mapping[str, Any]) -> None:
        self._open |= {item["raw_key"]: OpenFinding.from_json(item) for item in state.get("findings", ())}
        self._more = max(self._more, state.get("more", 0))

    def see(self, raw_key: str, key: str, problem: Problem, at: datetime) -> None:
        """Remember a problem that was seen now."""
        known = self._open.get(raw_key)
        if known is None and len(self._open) >= OPEN_MAX:
            self._more_now += 1
        else:
            first = known.first_seen_at if known else at
            self._open[raw_key] = OpenFinding(
                raw_key=raw_key, key=problem.key or key, problem=problem, first_seen_at=first, last_seen_at=at
            )
            self._seen.add(raw_key)
        self._keep()

    def see_finding(self, finding: Finding) -> None:
        """Remember a finding of now."""
        problem = Problem(
            key=finding.key,
            summary=finding.summary,
            expected=finding.expected,
            actual=finding.actual,
            next_step=finding.next_step,
            evidence=finding.evidence,
        )
        self.see(finding.raw_key, finding.key, problem, finding.first_seen_at)

    def __bool__(self) -> bool:
        return bool(self._open or self._more or self._more_now)

    def forget(self, raw_keys: Collection[str]) -> None:
        """Forget problems that a second look did not confirm."""
        self._open = {raw_key: item for raw_key, item in self._open.items() if raw_key not in raw_keys}
        self._keep()

    def settle(self, judged: int, settled: Settled | None) -> None:
        """Forget the findings of earlier runs that this reading has settled. `judged`: how many records it judged."""
        for raw_key in [raw_key for raw_key in self._open if raw_key not in self._seen]:
            item = self._open[raw_key]
            self._open[raw_key] = item = replace(item, judged_since=item.judged_since + judged)
            if settled is not None and settled(item):
                del self._open[raw_key]
        self._keep()

    def accept(self) -> None:
        """Forget all of them."""
        self._open, self._more, self._more_now = {}, 0, 0
        self._keep()

    def findings(self, label: str, but: Collection[str] = ()) -> tuple[Finding, ...]:
        """The open findings, except those with a raw key in `but`. With `only_key`, that one alone."""
        only = self._context.only_key
        return tuple(
            self._context.finding(
                item.problem,
                key=item.key,
                raw_key=raw_key,
                first_seen_at=item.first_seen_at,
                confirmed_at=item.last_seen_at,
                evidence={"read from": label, "last seen": f"{item.last_seen_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"},
            )
            for raw_key, item in self._open.items()
            if raw_key not in but and only in (None, raw_key)
        )

    @property
    def unlisted(self) -> int:
        """How many findings of earlier runs are known by number alone."""
        return self._more

    def note(self) -> str:
        """What to do about findings that no reading finds again; "" if there are none of earlier runs."""
        earlier = len(self._open.keys() - self._seen) + self._more
        if not earlier:
            return ""
        return (
            f"{earlier} findings of earlier runs: what was read then cannot be read again, so they stay until "
            f"`verifier baseline --only {self._context.check_id}` accepts them"
        )

    def _keep(self) -> None:
        self._context.watermarks[self._slot] = self.state
