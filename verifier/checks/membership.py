"""Row "Group list / members", seen from OpenIM: nobody was left behind or let in by the move, and each group has one owner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from verifier.checks.groups import DISMISSED, ROW
from verifier.checks.identity import declared_openim_users
from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Reconcile

GROUP_CONVERSATION = "sg_"
UNORDERED = "groups that paging passed over: OpenIM pages without an order"
ROLES = "an owner or a role that OpenIM has otherwise: it tells no time of a change, so a later one looks the same"


@check(
    "GRP-04",
    title="A moved group has the members that it had at its move",
    severity=Severity.CRITICAL,
    phase=Phase.CUTOVER,
    until=Phase.CUTOVER,
    row=ROW,
)
def members_moved(profile: Profile) -> list[Reconcile]:
    """Who was left behind reads nothing any more; who was let in by the move reads what was not meant for him. The legacy
    tables stand still from the move on (GRP-01), so they are its snapshot; what happened in OpenIM since is its own."""
    profile.relation("group_members", "group_id", "user_id", "joined_at")
    profile.relation("scope", "group_id", "openim_group_id", "since")
    if profile.identity.kind == "column":
        raise NotApplicable(
            "identity.kind = 'column': members of the legacy tables have no OpenIM id to be looked for by; map the id into "
            "group_members by a select to have them judged"
        )
    clocks = (profile.relation("group_members").role, profile.relation("scope").role)
    return [_left_behind(profile, clocks), _let_in(profile, ("openim", clocks[1]))]


def _left_behind(profile: Profile, clocks: tuple[str, ...]) -> Reconcile:
    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        registered = any("user_id" in item for item in partners)
        conversations = {item["conversation_id"] for item in partners if "conversation_id" in item}
        there = {item["group_id"] for item in partners if "member_id" in item}
        for group_id in _moved_after(partners, row["joined_at"]):
            # Who left in OpenIM keeps the conversation that its membership had opened; who is no user there cannot be a
            # member, and is USR-01's.
            if registered and group_id not in there and f"{GROUP_CONVERSATION}{group_id}" not in conversations:
                return Problem(
                    summary=f"user {row['user_id']} was a member of legacy group {row['group_id']} when it moved, and never was one of OpenIM group {group_id}",
                    expected="every member moves with the group",
                    actual="not a member, and no conversation of the group: it did not leave since",
                    next_step="Invite the user into the OpenIM group; look for what the import did with the others of this batch.",
                )
        return None

    to_openim = profile.identity.to_openim
    return Reconcile(
        subject=Rows("group_members", ("group_id", "user_id", "joined_at")),
        against=Rows("openim.joined_groups"),
        on=("user_id", "member_id"),
        or_against=((Rows("openim.conversation_ids"), "owner_id"), (Rows("openim.accounts"), "user_id")),
        also=(("group_id", Rows("scope", ("group_id", "openim_group_id", "since")), "group_id"),),
        convert=to_openim,
        judge=judge,
        clocks=clocks,
        unit="legacy memberships",
        statement="groups that have not moved, joins after the move and leavers in OpenIM are left alone",
        unseen=(ROLES,),
    )


def _let_in(profile: Profile, clocks: tuple[str, ...]) -> Reconcile:
    declared = declared_openim_users(profile)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        of_legacy_groups = {str(item["group_id"]) for item in partners if "joined_at" in item}
        ours = any(item.get("active", True) for item in partners if "group_id" not in item)
        for item in partners:
            if "since" not in item or not ours or row["in_openim_since"] > item["since"]:
                continue  # who joined after the move did so in OpenIM
            if item["group_id"] is not None and str(item["group_id"]) not in of_legacy_groups:
                return Problem(
                    summary=f"user {row['user_id']} is in OpenIM group {row['group_id']} since before it moved, and was no member of legacy group {item['group_id']}",
                    expected="the members that the legacy group had",
                    actual=f"a member since {row['in_openim_since']:%Y-%m-%d %H:%M:%S} UTC, the move was at {item['since']:%Y-%m-%d %H:%M:%S} UTC",
                    next_step="Remove the user from the group, or find out whether the legacy row was deleted after the move.",
                )
        return None

    active = ("active",) if profile.has("users", "active") else ()
    return Reconcile(
        subject=Rows("openim.group_members"),
        against=Rows("group_members", ("group_id", "user_id", "joined_at")),
        on=("user_id", "user_id"),
        or_against=((Rows("users", ("user_id", *active)), "user_id"),),
        also=(("group_id", Rows("scope", ("group_id", "openim_group_id", "since")), "openim_group_id"),),
        convert=profile.identity.from_openim,
        applies=lambda row: not any(fnmatchcase(str(row["user_id"]), pattern) for pattern in declared),
        judge=judge,
        clocks=clocks,
        unit="memberships in OpenIM",
        statement="joins after the move are left alone",
        unseen=(UNORDERED, "members who are no active users of ours (USR-02)"),
    )


def _moved_after(partners: Sequence[Row], joined_at: datetime | None) -> Iterator[str]:
    """The OpenIM ids of the group that moved after somebody joined it; one who joined our tables later is GRP-01's."""
    for item in partners:
        if "since" in item and item["openim_group_id"] and (joined_at is None or joined_at <= item["since"]):
            yield str(item["openim_group_id"])


@check(
    "GRP-05",
    title="A group has exactly one owner, and registered members",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def one_owner(profile: Profile) -> list[Reconcile]:
    """Two owners can each dismiss the group and hand it on; without one nobody can. Repeating a transfer as administrator
    is enough to make two."""

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if len(partners) == 1:
            return None
        owners = ", ".join(sorted(str(item["user_id"]) for item in partners)[:4])
        return Problem(
            summary=f"OpenIM group {row['group_id']} has {len(partners) or 'no'} owners",
            expected="exactly one",
            actual=owners or "none",
            next_step="Make one of its members the owner, and set the level of the others back with group/set_group_member_info.",
        )

    def registered(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None
        return Problem(
            summary=f"OpenIM group {row['group_id']} has member {row['user_id']}, whom OpenIM does not know as a user",
            expected="every member is registered",
            actual="not registered",
            next_step="Register the user (user/user_register), or remove the member.",
        )

    return [
        Reconcile(
            subject=Rows("openim.groups"),
            against=Rows("openim.group_owners"),
            on=("group_id", "group_id"),
            applies=lambda row: row["status"] != DISMISSED,
            judge=judge,
            unit="groups in OpenIM",
            unseen=(UNORDERED,),
        ),
        Reconcile(
            subject=Rows("openim.group_members"),
            against=Rows("openim.accounts"),
            on=("user_id", "user_id"),
            judge=registered,
            unit="memberships in OpenIM",
        ),
    ]
