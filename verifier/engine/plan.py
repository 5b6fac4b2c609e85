"""The plan of a run: which checks, in which phase, and why some do not apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifier.checks.names import require_read_names
from verifier.checks.registry import Check, Registry
from verifier.model.invariant import Phase, Severity
from verifier.model.verdict import Judgement
from verifier.profile.errors import NotMapped, ProfileError
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
    """Select the checks of a run. Raises ProfileError for an unknown check or phase, and for a name that no check reads."""
    require_read_names(profile, registry)
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


NOT_GRANTED = frozenset({"roles.openim_mongo", "roles.openim_redis", "roles.gateway", "canary"})
"""What a stack may withhold from the verifier. The report says what is not judged because of it."""


def unmapped(item: Check, profile: Profile, missing: NotMapped) -> Judgement:
    """The judgement of a check that needs what the profile does not map.

    A critical invariant that nobody judges must not look like one that holds. It does not apply only where `[absent]` says
    that the stack has no such object.
    """
    if (reason := profile.why_absent(missing.name)) is not None:
        return Judgement.not_applicable(f"absent: {missing.name}, {reason}")
    if item.severity is not Severity.CRITICAL or missing.name in NOT_GRANTED:
        return Judgement.not_applicable(str(missing))
    return Judgement.inconclusive(
        f'{missing}. Map it, or state under [absent] why this stack has none: {missing.name!r} = "reason"'
    )
