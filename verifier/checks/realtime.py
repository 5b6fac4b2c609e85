"""Row "Realtime delivery state", the Redis half: no presence of ours, nobody on the notification channel."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Absence, Inventory, Rule
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

ROW = "Realtime delivery state"


@check("PRS-01", title="No presence keys of ours appear in Redis", severity=Severity.HIGH, phase=Phase.FROZEN, row=ROW)
def no_presence(profile: Profile) -> Absence:
    """OpenIM knows who is online. A second presence, written by a service that was forgotten, shows people who are not there."""
    profile.relation("presence")
    return Absence(
        target="presence",
        operations=frozenset({"insert"}),
        noun="presence key",
        next_step="Find the websocket or chat service that still runs with presence on.",
    )


@check(
    "PRS-02",
    title="Leftover presence keys drain",
    severity=Severity.MEDIUM,
    phase=Phase.FROZEN,
    until=Phase.FROZEN,
    row=ROW,
)
def presence_drains(profile: Profile) -> Rule:
    """A presence key without TTL from before the freeze stays for ever: not a write, but a clean-up that is still owed."""
    keys = profile.relation("presence").key

    def judge(row: Row) -> Problem | None:
        if row["ttl_ms"] is not None:
            return None
        return Problem(
            summary=f"presence key of {' / '.join(str(row[name]) for name in keys)} has no TTL and will never drain",
            expected="no key, or one that expires",
            actual="no TTL",
            next_step="Delete the leftover by hand; it is not being written any more if PRS-01 holds.",
        )

    return Rule(subject=Rows("presence", ("ttl_ms",)), judge=judge, unit="leftover presence keys", empty_holds=True)


@check(
    "PUB-01",
    title="Nothing is published to the notification channel",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def no_publish(profile: Profile) -> Absence:
    """Message delivery is OpenIM's. A publish on the old channel means that a message still takes the old way."""
    profile.channel("chat_notification")
    return Absence(
        target="chat_notification",
        kind="channel",
        operations=frozenset({"publish"}),
        noun="notification",
        next_step="Find the chat-service path that still publishes; compare with MSG-01 and MQ-02.",
    )


@check(
    "PUB-02", title="Nobody listens on the notification channel", severity=Severity.MEDIUM, phase=Phase.FROZEN, row=ROW
)
def no_subscriber(profile: Profile) -> Inventory:
    """A subscriber is a websocket service that still expects to deliver messages."""
    channel = profile.channel("chat_notification")
    waived = profile.inventory.subscribers

    def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
        return [
            Problem(
                key=item.name,
                summary=f"{item.attributes['subscribers']} client(s) listen on {channel.name} ({item.attributes['how']} {item.attributes['pattern']})",
                expected="no subscriber but the verifier",
                actual=f"{item.attributes['subscribers']} subscriber(s)",
                next_step="Stop the old websocket service, or name the monitoring client under inventory.subscribers.",
            )
            for item in objects
        ]

    return Inventory(
        role=channel.role,
        kinds=(f"subscribers:{channel.name}",),
        judge=judge,
        applies=lambda item: item.attributes.get("client") not in waived,
        unit="subscribers",
        unseen=("a client that reconnects between two looks",),
    )
