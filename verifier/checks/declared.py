"""OpenIM as declared: its configuration, the webhooks that it calls, how quick it is, how many devices it lets a user have."""

from __future__ import annotations

from verifier.checks.registry import NotApplicable, check
from verifier.judges.devices import judge_two_platforms
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
    """Who may stay logged in where, how long messages and files live, who is pushed: an upgrade or a forgotten override
    changes these in silence, and users lose history before anybody reads a log."""
    settings = profile.openim_config
    if not settings.expected and not settings.files:
        raise NotApplicable("nothing declared: [openim_config] of the profile names no setting and no file")
    return Declared(
        expected=settings.expected,
        files=settings.files,
        next_step="Set OpenIM back and restart it, or declare the new value under openim_config in the profile.",
    )


@check(
    "LAG-01",
    title="OpenIM brings messages in time",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def in_time(profile: Profile) -> Delivery:
    """OpenIM acknowledges what it has queued. A queue that grows is messages that everybody believes to be sent and nobody
    has; it is seen here before users call."""
    bound_s = profile.canary.lag_max_s if profile.canary else 0.0
    return Delivery(judge=lambda operations: judge_lag(operations, bound_s=bound_s))


@check(
    "TOK-07",
    title="A login on a second platform leaves the first one alone",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row="imToken",
)
def second_device(profile: Profile) -> Delivery:
    """OpenIM ends tokens by a policy of its own, and one imToken per user is replaced by each login: if the two do not fit,
    picking up the tablet logs the phone out."""
    policy = profile.token.second_device
    return Delivery(judge=lambda operations: judge_two_platforms(operations, second_device=policy))


@check(
    "WHK-01",
    title="OpenIM's webhooks arrive, and what they refuse is not done",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def webhooks_arrive(profile: Profile) -> Delivery:
    """Moderation and reports hang on these calls. A hook that is off, or whose refusal is not heeded, is noticed by nobody:
    messages flow as ever."""
    settings = profile.webhooks
    if not settings.enabled and settings.failure is None:
        raise NotApplicable("nothing declared: [webhooks] of the profile names no hook that the stack relies on")
    return Delivery(
        judge=lambda operations: judge_webhooks(
            operations, enabled=settings.enabled, after_rate=settings.after_rate, failure=settings.failure
        )
    )
