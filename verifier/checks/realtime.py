"""Row "Realtime delivery state" [D11]: the platform's presence, notification channel and old websocket are silent."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import check
from verifier.judges.platform import judge_legacy_websocket
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Absence, Delivery, Inventory, Rule
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

ROW = "Realtime delivery state"


@check(
    "PRS-01", title="No presence key of the platform is written", severity=Severity.HIGH, phase=Phase.FROZEN, row=ROW
)
def no_presence(profile: Profile) -> Absence:
    """OpenIM records who is online. Presence that a forgotten service still writes shows users as online who are not. Where column
    `online` is mapped, a record that becomes online counts, and other changes do not; without it an update is inconclusive, except
    in Redis, where a presence key itself says who is online."""
    profile.relation("presence")
    changes = frozenset({"update", "replace"})
    states = profile.has("presence", "online")
    return Absence(
        target="presence",
        operations=frozenset({"insert"}) | changes if states else frozenset({"insert"}),
        state="online" if states else None,
        doubtful=frozenset() if states else changes,
        doubt="a record of presence was changed, and whether a user became online is not known: map column `online` of relation `presence`",
        noun="presence key",
        next_step="Find the websocket or chat service that still writes presence.",
    )


@check(
    "PRS-02",
    title="Leftover presence keys expire",
    severity=Severity.MEDIUM,
    phase=Phase.FROZEN,
    until=Phase.FROZEN,
    row=ROW,
)
def presence_drains(profile: Profile) -> Rule:
    """A presence key without a TTL from before the freeze never expires. It is not a new write, but it must be deleted."""
    keys = profile.relation("presence").key

    def judge(row: Row) -> Problem | None:
        if row["ttl_ms"] is not None:
            return None
        return Problem(
            summary=f"presence key of {' / '.join(str(row[name]) for name in keys)}{_where(row)} has no TTL and will never expire",
            expected="no key, or one that expires",
            actual="no TTL",
            next_step="Delete the key. If PRS-01 holds, nothing writes it again.",
        )

    return Rule(
        subject=Rows("presence", ("ttl_ms",), everywhere=True),
        judge=judge,
        unit="leftover presence keys",
        empty_holds=True,
    )


def _where(row: Row) -> str:
    """Where a key is that is not under the mapped pattern in the role's own database index."""
    return f" ({row['@place']})" if row.get("@place") else ""


@check(
    "PUB-01",
    title="Nothing is published to the notification channel",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def no_publish(profile: Profile) -> Absence:
    """OpenIM delivers messages. A publish on the old channel means that a message is still delivered by the platform."""
    profile.channel("chat_notification")
    return Absence(
        target="chat_notification",
        kind="channel",
        operations=frozenset({"publish"}),
        noun="notification",
        next_step="Find the code path of the chat-service that still publishes. MSG-01 and MQ-02 may show the same writer.",
    )


@check(
    "PUB-02", title="Nobody listens to the notification channel", severity=Severity.MEDIUM, phase=Phase.FROZEN, row=ROW
)
def no_subscriber(profile: Profile) -> Inventory:
    """A subscriber is a websocket service that still expects messages to deliver."""
    channel = profile.channel("chat_notification")
    waived = profile.inventory.subscribers

    def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
        return [
            Problem(
                key=item.name,
                summary=f"{item.attributes['subscribers']} client(s) listen to {channel.name} ({item.attributes['how']} {item.attributes['pattern']})",
                expected="no subscriber but the verifier",
                actual=f"{item.attributes['subscribers']} subscriber(s)",
                next_step="Stop the old websocket service, or list the client under inventory.subscribers if it is monitoring.",
            )
            for item in objects
        ]

    return Inventory(
        role=channel.role,
        kinds=(f"subscribers:{channel.name}",),
        judge=judge,
        applies=lambda item: item.attributes.get("client") not in waived,
        unit="subscribers",
        unseen=("a client that is connected only between two passes",),
    )


@check(
    "WS-01",
    title="The old websocket service delivers nothing",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def old_websocket_silent(profile: Profile) -> Delivery:
    """A client that can still connect to it waits for messages that never come, or receives them twice."""
    return Delivery(judge=judge_legacy_websocket, statement="a connection attempt of the canary")
