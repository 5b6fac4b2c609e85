"""Rows "Gateway" and "WebSocket": the token is injected and never shown; the old socket delivers nothing."""

from __future__ import annotations

from verifier.checks.registry import check
from verifier.judges.gateway import judge_gateway
from verifier.judges.platform import judge_legacy_websocket
from verifier.model.invariant import Phase, Severity
from verifier.profile.models import Profile
from verifier.proofs import Delivery


@check(
    "GW-01",
    title="The gateway injects the imToken and never shows it",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row="imToken",
)
def gateway_injects(profile: Profile) -> Delivery:
    """Clients hold a session, not a token: a token in a response is one that the platform can no longer take back. With
    the session alone a login is followed by a WebSocket connection that works, in the name of that session and of nobody
    else."""
    return Delivery(judge=lambda operations: judge_gateway(operations, delivery=profile.token.delivery))


@check(
    "WS-01",
    title="The old websocket service delivers nothing",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row="Realtime delivery state",
)
def old_websocket_silent(profile: Profile) -> Delivery:
    """A client that can still connect there waits for messages that never come, or gets them twice."""
    return Delivery(judge=judge_legacy_websocket, statement="canary probe")
