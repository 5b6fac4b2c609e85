"""Checks as data: `@check(id)` registers a function from the profile to the proofs that judge one invariant.

A check never accesses a store and never awaits. It reads the profile, decides whether the invariant applies, and returns
proofs that say what is compared. The engine carries them out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from verifier.model.invariant import Phase, Severity
from verifier.profile.errors import ProfileError
from verifier.profile.models import CHECK_ID, Profile
from verifier.proofs.protocol import Proof

Build = Callable[[Profile], Proof | Sequence[Proof]]


class NotApplicable(Exception):
    """Raised by a check that does not apply to this stack. The text names the policy or setting that decides this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A registered check.

    `phase` is the first phase in which the invariant applies and `until` the last one. `row` names its row in
    docs/data-ownership.md. `why` is the docstring of the decorated function, `build`. A check with `last` judges the run
    itself, so it starts after all others.
    """

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
        """The proofs for this stack. Raises NotMapped or NotApplicable if the check does not apply to it."""
        built = self.build(profile)
        return tuple(built) if isinstance(built, Sequence) else (built,)


class Registry:
    """All known checks by ID, in the order of their registration."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    def __contains__(self, check_id: str) -> bool:
        return check_id in self._checks

    def __getitem__(self, check_id: str) -> Check:
        return self._checks[check_id]

    def add(self, check: Check) -> None:
        """Register a check. Raises ValueError for a malformed or taken ID, or a function that is not a check."""
        if not CHECK_ID.match(check.id):
            raise ValueError(f"{check.id!r} is not a valid ID: use the form USR-01, or X-… for your own checks")
        if check.id in self._checks:
            raise ValueError(
                f"check {check.id} is registered twice: {_place(self._checks[check.id])} and {_place(check)}"
            )
        parameters = inspect.signature(check.build).parameters
        if len(parameters) != 1:
            raise ValueError(
                f"check {check.id} takes {len(parameters)} parameters; a check takes exactly one, the profile"
            )
        if inspect.iscoroutinefunction(check.build):
            raise ValueError(f"check {check.id} is a coroutine; a check must be a plain function")
        self._checks[check.id] = check

    def select(self, only: Sequence[str] = ()) -> tuple[Check, ...]:
        """The checks that `only` names; all if it is empty.

        Each entry is a list of IDs, families and patterns, joined by commas: `USR-01`, `USR`, `tok-0*`. Upper and lower case do
        not matter. Raises ProfileError if one of them matches no check.
        """
        if not only:
            return tuple(self)
        chosen = []
        for wanted in [name.strip() for entry in only for name in entry.split(",")]:
            name = wanted.upper()
            matching = [item for item in self if fnmatchcase(item.id, name) or item.id.startswith(f"{name}-")]
            if not matching:
                raise ProfileError(f"there is no check {wanted!r}; to see all checks, run: verifier list")
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
    """Register the decorated function as the check of the invariant `check_id`.

    The function takes the profile and returns a proof or a sequence of proofs. Its docstring says why the invariant matters;
    `verifier explain` and docs/checks.md print it. `title` is the invariant in one sentence. See `Check` for the other
    arguments. Raises ValueError as `Registry.add` does.
    """

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
