"""`declared`: does OpenIM's configuration have the values that the profile declares?

A finding about a setting that may be secret shows that it differs, never its value.
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
from verifier.profile.models import Profile
from verifier.proofs.context import Context
from verifier.proofs.protocol import Description
from verifier.stores.errors import RouteClosed
from verifier.stores.pool import Stores

SECRET = re.compile(r"secret|password|passwd|token|credential|(^|\.)(\w*key|\w*uri|user_?name)$", re.IGNORECASE)
HASHED = "sha256:"
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Compare OpenIM's configuration with the declared one.

    `expected` maps the name of a configuration file to its declared settings (path of the setting -> value). OpenIM is asked
    for them with `/config/get_config` [F14]. `files` maps the path of a mounted file to its declared SHA-256 in hex.
    """

    expected: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]
    next_step: str
    technique: ClassVar[str] = (
        "declared: each setting is asked for and compared; a difference is confirmed in a second pass"
    )
    takes_baseline: ClassVar[bool] = False

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out. If OpenIM closes the route and no file is declared, the judgement is "not granted"."""
        if context.baselining:
            return Judgement.not_applicable("baseline taken")
        first = await self._read_all(context)
        differing = first.differing
        if differing:
            first_seen_at = datetime.now(UTC)
            await asyncio.sleep(context.settle_s)  # the configuration may be in the middle of a roll-out
            again = await self._read_all(context)
            differing = {key: item for key, item in again.differing.items() if key in first.differing}
            findings = tuple(_finding(context, key, item, first_seen_at) for key, item in differing.items())
            return again.judgement(findings)
        return first.judgement(())

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The settings that are asked for and the files that are read."""
        settings = (f"POST /config/get_config {name}: {', '.join(paths)}" for name, paths in self.expected.items())
        return Description(
            queries=(*settings, *(f"read {path}" for path in self.files)),
        )

    async def _read_all(self, context: Context) -> _Pass:
        found = _Pass(total=sum(map(len, self.expected.values())) + len(self.files))
        if self.expected:
            store: Any = await context.stores.get("openim")
            for name, settings in self.expected.items():
                await self._ask(store, name, settings, found)
        for path, digest in self.files.items():
            self._read(path, digest, found)
        return found

    async def _ask(self, store: Any, name: str, settings: Mapping[str, Any], found: _Pass) -> None:
        found.queries.append(f"POST /config/get_config {{configName: {name}}}")
        try:
            configuration = await store.configuration(name)
        except RouteClosed as closed:
            found.closed += len(settings)
            found.why_closed = str(closed)
            return
        if configuration is None:
            found.unknown.append(f"OpenIM has no configuration file {name}")
            return
        for path, expected in settings.items():
            actual = value_at(configuration, path)
            if actual is _MISSING:
                found.unknown.append(f"{name} has no setting {path}")
                continue
            found.seen += 1
            if not agree(expected, actual):
                found.differing[f"{name}: {path}"] = self._problem(name, path, expected, actual)

    def _problem(self, name: str, path: str, expected: Any, actual: Any) -> Problem:
        hidden = SECRET.search(path) is not None or str(expected).startswith(HASHED)
        return Problem(
            key=f"{name}: {path}",
            summary=f"OpenIM's setting {path} of {name} differs from the declared one",
            expected="the declared value (not shown)" if hidden else _shown(expected),
            actual="another value (not shown)" if hidden else _shown(actual),
            next_step=self.next_step,
        )

    def _read(self, path: str, digest: str, found: _Pass) -> None:
        found.queries.append(f"read {path}")
        try:
            actual = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            found.unknown.append(f"{path} cannot be read: {error.strerror or type(error).__name__}")
            return
        found.seen += 1
        if actual != digest.lower():
            found.differing[path] = Problem(
                key=path,
                summary=f"the configuration file {path} differs from the declared one",
                expected=f"SHA-256 {digest.lower()[:16]}…",
                actual=f"SHA-256 {actual[:16]}…",
                next_step=self.next_step,
            )


class _Pass:
    """What one pass over all settings and files found."""

    def __init__(self, *, total: int) -> None:
        self.total = total
        self.seen = 0
        self.closed = 0
        self.why_closed = ""
        self.unknown: list[str] = []
        self.differing: dict[str, Problem] = {}
        self.queries: list[str] = []

    def judgement(self, findings: tuple[Finding, ...]) -> Judgement:
        closed = (f"{self.closed} settings that OpenIM does not show: {self.why_closed}",) if self.closed else ()
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


def value_at(configuration: Any, path: str) -> Any:
    """The value at a path such as `multiLogin.policy`, without regard to case; `_MISSING` if there is none.

    OpenIM spells names as in its source (`MultiLogin`). Some versions answer with all files at once; then the path may begin
    one level deeper, if only one section has it.
    """
    found = _descend(configuration, path.split("."))
    if found is not _MISSING or not isinstance(configuration, Mapping):
        return found
    deeper = [value for part in configuration.values() if (value := _descend(part, path.split("."))) is not _MISSING]
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
    """Whether a setting has the declared value. `sha256:…` declares the hash of a text. 1 and True are different values."""
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
