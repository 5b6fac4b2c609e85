"""Row "Conversation list / seq" [D2]: no copy of a frozen table under another name."""

from __future__ import annotations

from verifier.checks.other_homes import undeclared
from verifier.checks.registry import check
from verifier.model.invariant import Phase, Severity
from verifier.profile.models import Profile
from verifier.proofs import Inventory

FROZEN = (
    "conversations",
    "conversation_sequences",
    "message_reads",
    "mentions",
    "chat_groups",
    "group_members",
    "messages",
)
"""The logical relations that are frozen."""


@check(
    "CNV-06",
    title="There is no undeclared copy of a frozen table",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row="Conversation list / seq",
)
def no_other_table(profile: Profile) -> list[Inventory]:
    """Conversations that are written to `conversations_v2`, to another schema or to a materialised view still have a second home beside OpenIM.
    A table that is new since the baseline is reported if it resembles a frozen one. An older one is reported only if it resembles one
    closely and was written since."""
    return undeclared(profile, "conversations", alike=FROZEN)
