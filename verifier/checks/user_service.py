"""Rows "User profile (our fields)" [D5] and "PostgreSQL (user-service)" [D6]: both stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Inventory, Reconcile
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject


@check(
    "USR-08",
    title="The schema of the user-service is unchanged and stores no messages",
    severity=Severity.HIGH,
    phase=Phase.BASELINE,
    row="PostgreSQL (user-service)",
)
def schema_unchanged(profile: Profile) -> Inventory:
    """The move adds nothing to the user-service. A new table or column is either approved or may be a second home for messages."""
    profile.relation("users")
    allowed = profile.inventory.tables

    def judge(objects: Sequence[StoreObject], approved: Approved | None) -> list[Problem]:
        if approved is None:
            return []
        problems = []
        for item in objects:
            if _known(item, approved) or any(item.name == name or item.name.startswith(f"{name}.") for name in allowed):
                continue
            problems.append(
                Problem(
                    key=item.name,
                    summary=f"column {item.name} is new or differs from the baseline",
                    expected="the schema of the baseline, or an approved change",
                    actual=f"{item.name} {item.attributes['type']}",
                    next_step="If the change is intended, approve it under inventory.tables or take a new baseline: verifier baseline --only USR-08. Message data does not belong here.",
                )
            )
        return problems

    return Inventory(
        role=profile.relation("users").role,
        kinds=("columns",),
        judge=judge,
        remembered=True,
        fingerprint=column_fingerprint,
        unit="columns",
    )


def _known(item: StoreObject, approved: Approved) -> bool:
    """Whether the baseline has a column, or has it in the table of which this one is a new partition."""
    if column_fingerprint(item) in approved:
        return True
    parent, about = item.attributes.get("parent"), item.attributes
    return parent is not None and f"{parent}.{about['column_name']} {about['type']}" in approved


def column_fingerprint(item: StoreObject) -> str:
    """The text that the baseline stores for a column: its name and type."""
    return f"{item.name} {item.attributes['type']}"


@check(
    "KEEP-03",
    title="If friends are mirrored, OpenIM has every friend of the platform",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row="User profile (our fields)",
)
def friends_mirrored(profile: Profile) -> Reconcile:
    """The platform owns the friend list. If the policy mirrors it into OpenIM, the copy must be complete, or search and permissions differ."""
    if profile.policies.friends != "mirrored":
        raise NotApplicable("policy: friends = 'ours'")

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        wanted = profile.identity.to_openim(row["friend_id"])
        if any(item["friend_id"] == wanted for item in partners):
            return None
        return Problem(
            summary=f"{row['friend_id']} is a friend of {row['user_id']} on the platform but not in OpenIM",
            expected="the same friend in OpenIM",
            actual=f"{len(partners)} other friends",
            next_step="Mirror the friendship with import_friend, and find the code path that did not.",
        )

    return Reconcile(
        subject=Rows("friends", ("user_id", "friend_id")),
        against=Rows("openim.friends"),
        on=("user_id", "owner_id"),
        convert=profile.identity.to_openim,
        judge=judge,
        unit="friendships",
        unseen=("friends that exist only in OpenIM",),
    )
