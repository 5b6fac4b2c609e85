"""Row "OpenIM" [D13]: its configuration is the declared one, messages pass in time, and webhooks arrive."""

from __future__ import annotations

from verifier.checks.registry import NotApplicable, check
from verifier.judges.lag import judge_lag
from verifier.judges.webhooks import judge_webhooks
from verifier.model.invariant import Phase, Severity
from verifier.profile.models import Profile
from verifier.proofs import Declared, Delivery

ROW = "OpenIM"


@check(
    "CFG-01",
    title="OpenIM is configured as declared",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def configured_as_declared(profile: Profile) -> Declared:
    """The configuration decides which logins remain valid, how long messages and files are kept, and who receives pushes. An
    upgrade or a forgotten override can change it unnoticed, and users may lose history."""
    settings = profile.openim_config
    if not settings.expected and not settings.files:
        raise NotApplicable("nothing declared: [openim_config] of the profile lists no setting and no file")
    return Declared(
        expected=settings.expected,
        files=settings.files,
        next_step="Restore the setting and restart OpenIM, or declare the new value under openim_config in the profile.",
    )


@check(
    "LAG-01",
    title="OpenIM delivers acknowledged messages in time",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def in_time(profile: Profile) -> Delivery:
    """OpenIM acknowledges a message when it is queued, not when it is stored [F66]. If the queue grows, senders see their
    messages as sent although no receiver has them yet [F68]."""
    bound_s = profile.canary.lag_max_s if profile.canary else 0.0
    return Delivery(judge=lambda operations: judge_lag(operations, bound_s=bound_s))


@check(
    "WHK-01",
    title="OpenIM's webhooks arrive, and their refusals take effect",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def webhooks_arrive(profile: Profile) -> Delivery:
    """Moderation and reports depend on these calls. A webhook that is switched off, or whose refusal has no effect, does not
    disturb messaging, so nobody notices it."""
    settings = profile.webhooks
    if not settings.enabled and settings.failure is None:
        raise NotApplicable("nothing declared: [webhooks] of the profile lists no webhook that the stack relies on")
    return Delivery(
        judge=lambda operations: judge_webhooks(
            operations, enabled=settings.enabled, after_rate=settings.after_rate, failure=settings.failure
        )
    )
