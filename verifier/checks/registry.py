"""Checks as data: `@check(id)` registers a function from the profile to the proofs that judge one invariant.

A check never touches a store and never awaits. It reads the profile, decides whether the question arises, and says what is to be
compared. The engine does the rest: reading in chunks, looking twice, coverage, findings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verifier.model.invariant import Phase, Severity
from verifier.profile.errors import ProfileError
from verifier.profile.models import CHECK_ID, Profile

if TYPE_CHECKING:
    from verifier.proofs import Proof

    Build = Callable[[Profile], Proof | Sequence[Proof]]


class NotApplicable(Exception):
    """Raised by a check whose question does not arise on this stack; the text says why (a policy, a setting)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A registered invariant. `phase` is the first in which it applies, `until` the last.
    `last`: it judges the run itself, so it waits for the others."""

    id: str
    title: str
    severity: Severity
    phase: Phase
    until: Phase
    row: str
    why: str
    build: Build
    last: bool = False

    def proofs(self, profile: Profile) -> tuple[Proof, ...]:
        """The proofs for this stack. Raises NotMapped or NotApplicable where the question does not arise."""
        built = self.build(profile)
        return tuple(built) if isinstance(built, Sequence) else (built,)


class Registry:
    """All known checks by ID, in the catalogue's order of registration."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    def __contains__(self, check_id: str) -> bool:
        return check_id in self._checks

    def __getitem__(self, check_id: str) -> Check:
        return self._checks[check_id]

    def add(self, check: Check) -> None:
        """Register a check; a malformed or taken ID is a programming error told in a sentence."""
        if not CHECK_ID.match(check.id):
            raise ValueError(
                f"{check.id!r} is not an ID: use the catalogue's form USR-01, or X-… for a check of your own"
            )
        if check.id in self._checks:
            raise ValueError(
                f"check {check.id} is registered twice: {_place(self._checks[check.id])} and {_place(check)}"
            )
        parameters = inspect.signature(check.build).parameters
        if len(parameters) != 1:
            raise ValueError(f"check {check.id} takes {len(parameters)} parameters; a check takes one, the profile")
        if inspect.iscoroutinefunction(check.build):
            raise ValueError(f"check {check.id} is a coroutine; a check is a plain function, the engine awaits")
        self._checks[check.id] = check

    def select(self, only: Sequence[str] = ()) -> tuple[Check, ...]:
        """The checks whose ID is, or starts with, one of `only` (all without it). Raises ProfileError for an unknown one."""
        if not only:
            return tuple(self)
        chosen = []
        for wanted in only:
            matching = [item for item in self if item.id == wanted or item.id.startswith(f"{wanted}-")]
            if not matching:
                raise ProfileError(f"there is no check {wanted!r}; see: verifier list")
            chosen += matching
        return tuple(dict.fromkeys(chosen))


def _place(item: Check) -> str:
    return f"{item.build.__module__}.{item.build.__qualname__}"


REGISTRY = Registry()


def check(
    check_id: str,
    *,
    title: str,
    severity: Severity,
    phase: Phase,
    row: str,
    until: Phase = Phase.DECOMMISSIONED,
    last: bool = False,
    registry: Registry = REGISTRY,
) -> Callable[[Build], Build]:
    """Register the decorated function as the check of invariant `check_id`; its docstring is the why that `explain` prints."""

    def register(build: Build) -> Build:
        why = inspect.getdoc(build) or ""
        registry.add(
            Check(
                id=check_id,
                title=title,
                severity=severity,
                phase=phase,
                until=until,
                row=row,
                why=why,
                build=build,
                last=last,
            )
        )
        return build

    return register
