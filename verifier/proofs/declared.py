"""`declared`: does OpenIM's configuration say what the profile declares?

Values are compared where they are read. What a finding shows of a setting that may be secret is that it differs, never what it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from verifier.model.finding import Finding
from verifier.model.invariant import Problem
from verifier.model.verdict import Coverage, Judgement, Verdict
from verifier.proofs.context import Context
from verifier.stores.errors import RouteClosed

SECRET = re.compile(r"secret|password|passwd|token|credential|(^|\.)(\w*key|\w*uri|user_?name)$", re.IGNORECASE)
HASHED = "sha256:"
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Ask OpenIM for each file of `expected`, read each of `files`, and compare; what differs is looked at a second time."""

    expected: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]
    next_step: str
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out. Where OpenIM tells nobody its configuration, and no file is declared: not granted."""
        if context.baselining:
            return Judgement.not_applicable("baseline taken")
        first = await self._look(context)
        differing = first.differing
        if differing:
            first_seen_at = datetime.now(UTC)
            await asyncio.sleep(context.settle_s)  # a configuration that is being rolled out
            again = await self._look(context)
            differing = {key: item for key, item in again.differing.items() if key in first.differing}
            findings = tuple(_finding(context, key, item, first_seen_at) for key, item in differing.items())
            return again.judgement(findings)
        return first.judgement(())

    async def _look(self, context: Context) -> _Look:
        look = _Look(total=sum(map(len, self.expected.values())) + len(self.files))
        if self.expected:
            store: Any = await context.stores.get("openim")
            for name, settings in self.expected.items():
                await self._ask(store, name, settings, look)
        for path, digest in self.files.items():
            self._read(path, digest, look)
        return look

    async def _ask(self, store: Any, name: str, settings: Mapping[str, Any], look: _Look) -> None:
        look.queries.append(f"POST /config/get_config {{configName: {name}}}")
        try:
            told = await store.configuration(name)
        except RouteClosed as closed:
            look.closed += len(settings)
            look.why_closed = str(closed)
            return
        if told is None:
            look.unknown.append(f"OpenIM has no configuration file {name}")
            return
        for path, expected in settings.items():
            actual = value_at(told, path)
            if actual is _MISSING:
                look.unknown.append(f"{name} has no setting {path}")
                continue
            look.seen += 1
            if not agree(expected, actual):
                look.differing[f"{name}: {path}"] = self._problem(name, path, expected, actual)

    def _problem(self, name: str, path: str, expected: Any, actual: Any) -> Problem:
        hidden = SECRET.search(path) is not None or str(expected).startswith(HASHED)
        return Problem(
            key=f"{name}: {path}",
            summary=f"OpenIM's setting {path} of {name} is not the declared one",
            expected="the declared value (not shown)" if hidden else _shown(expected),
            actual="another value (not shown)" if hidden else _shown(actual),
            next_step=self.next_step,
        )

    def _read(self, path: str, digest: str, look: _Look) -> None:
        look.queries.append(f"read {path}")
        try:
            actual = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            look.unknown.append(f"{path} cannot be read: {error.strerror or type(error).__name__}")
            return
        look.seen += 1
        if actual != digest.lower():
            look.differing[path] = Problem(
                key=path,
                summary=f"the configuration file {path} is not the declared one",
                expected=f"SHA-256 {digest.lower()[:16]}…",
                actual=f"SHA-256 {actual[:16]}…",
                next_step=self.next_step,
            )


class _Look:
    """What one look at everything told."""

    def __init__(self, *, total: int) -> None:
        self.total = total
        self.seen = 0
        self.closed = 0
        self.why_closed = ""
        self.unknown: list[str] = []
        self.differing: dict[str, Problem] = {}
        self.queries: list[str] = []

    def judgement(self, findings: tuple[Finding, ...]) -> Judgement:
        closed = (f"{self.closed} settings that OpenIM tells nobody: {self.why_closed}",) if self.closed else ()
        coverage = Coverage(self.seen, self.total, "declared settings", "", closed)
        common: dict[str, Any] = {"coverage": (coverage,), "queries": tuple(self.queries)}
        if findings:
            notes = tuple(self.unknown)
            return Judgement(
                verdict=Verdict.VIOLATED, findings=findings, findings_total=len(findings), notes=notes, **common
            )
        if self.unknown:
            reason = "; ".join(self.unknown[:3])
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, **common)
        if not self.seen:
            return Judgement.not_applicable(f"not granted: {self.why_closed}")
        return Judgement(verdict=Verdict.HOLDS, **common)


def value_at(told: Any, path: str) -> Any:
    """The value at a path such as `multiLogin.policy`, whatever its case; `_MISSING` where there is none.

    OpenIM writes names as its code spells them (`MultiLogin`), and some versions answer with all files at once: then the
    path may begin one level deeper, where only one section has it.
    """
    found = _descend(told, path.split("."))
    if found is not _MISSING or not isinstance(told, Mapping):
        return found
    deeper = [value for part in told.values() if (value := _descend(part, path.split("."))) is not _MISSING]
    return deeper[0] if len(deeper) == 1 else _MISSING


def _descend(value: Any, names: list[str]) -> Any:
    for name in names:
        if not isinstance(value, Mapping):
            return _MISSING
        matching = [inner for key, inner in value.items() if str(key).lower() == name.lower()]
        if len(matching) != 1:
            return _MISSING
        value = matching[0]
    return value


def agree(expected: Any, actual: Any) -> bool:
    """Whether a setting is the declared one; `sha256:…` declares the hash of a text. A number is not a truth value."""
    if isinstance(expected, str) and expected.startswith(HASHED):
        digest = hashlib.sha256(str(actual).encode("utf-8", "surrogatepass")).hexdigest()
        return digest == expected.removeprefix(HASHED).lower()
    return isinstance(expected, bool) is isinstance(actual, bool) and bool(expected == actual)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:120]


def _finding(context: Context, key: str, problem: Problem, first_seen_at: datetime) -> Finding:
    return context.finding(
        problem,
        key=key,
        raw_key=context.raw_key(key),
        first_seen_at=first_seen_at,
        confirmed_at=datetime.now(UTC),
        evidence={"read from": "a file" if key.startswith("/") else "/config/get_config"},
    )
