"""The plan of a run: which checks, in which phase, and why some do not apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifier.checks.registry import Check, Registry
from verifier.model.invariant import Phase
from verifier.profile.errors import ProfileError
from verifier.profile.models import Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The checks of a run.

    `what_if`: the phase is not the one of the profile; such a run stores only verdicts. `known`: the IDs of all registered
    checks, selected or not. `pending`: the selected checks that the stack has not accepted yet.
    """

    phase: Phase
    checks: tuple[Check, ...]
    what_if: bool = False
    notes: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    pending: frozenset[str] = frozenset()

    def why_not(self, item: Check) -> str | None:
        """Why a check does not apply in this phase, or None if it does."""
        if not self.phase.reached(item.phase):
            return f"phase: applies from {item.phase.code} {item.phase.value} on, the stack is in {self.phase.code}"
        if not item.until.reached(self.phase):
            return f"phase: applied until {item.until.code} {item.until.value}, the stack is in {self.phase.code}"
        return None


def make_plan(registry: Registry, profile: Profile, *, only: Sequence[str] = (), phase: str | None = None) -> Plan:
    """Select the checks of a run. Raises ProfileError for an unknown check or phase."""
    try:
        judged = Phase(phase) if phase else profile.phase
    except ValueError:
        raise ProfileError(
            f"there is no phase {phase!r}; choose one of {', '.join(item.value for item in Phase)}"
        ) from None
    notes = []
    defaults = sorted(
        name for name in type(profile.policies).model_fields if name not in profile.policies.model_fields_set
    )
    if defaults:
        notes.append(f"policies not set in the profile, defaults used: {', '.join(defaults)}")
    if phase and judged is not profile.phase:
        notes.append(
            f"what-if: judged as phase {judged.value}, the profile has {profile.phase.value}; findings and watermarks are not stored"
        )
    return Plan(
        phase=judged,
        checks=registry.select(only),
        what_if=bool(phase) and judged is not profile.phase,
        notes=tuple(notes),
        known=tuple(item.id for item in registry),
    )
