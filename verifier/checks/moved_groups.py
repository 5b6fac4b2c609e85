"""Row "Group list / members" [D3], as OpenIM has it: moved groups have their members, one owner, and one counterpart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from verifier.checks.groups import DISMISSED, ROW
from verifier.checks.identity import declared_openim_users, is_own_user
from verifier.checks.registry import NotApplicable, check
from verifier.checks.stored_messages import marker_in
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Reconcile, Rule, Unique

GROUP_CONVERSATION = "sg_"
UNORDERED = "groups that paging skipped, because OpenIM pages without an order"
ROLES = "owners and roles that differ in OpenIM: it records no time of a change, so a later change looks the same"


@check(
    "GRP-04",
    title="A moved group has the members that it had when it moved",
    severity=Severity.CRITICAL,
    phase=Phase.CUTOVER,
    until=Phase.FROZEN,
    row=ROW,
)
def members_moved(profile: Profile) -> list[Reconcile]:
    """A member who was left behind no longer receives the group's messages. A user whom the move added reads messages that
    were not meant for them. The legacy tables do not change after the move (GRP-01), so they show the members at that time;
    joins and leaves in OpenIM after the move are not compared."""
    profile.relation("group_members", "group_id", "user_id", "joined_at")
    profile.relation("scope", "group_id", "openim_group_id", "since")
    clocks = (profile.relation("group_members").role, profile.relation("scope").role)
    return [_left_behind(profile, clocks), _let_in(profile, ("openim", clocks[1]))]


def _left_behind(profile: Profile, clocks: tuple[str, ...]) -> Reconcile:
    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        registered = any(set(item) == {"user_id"} for item in partners)
        conversations = {item["conversation_id"] for item in partners if "conversation_id" in item}
        there = {item["group_id"] for item in partners if "member_id" in item}
        for group_id in _moved_after(partners, row["joined_at"]):
            # A user who left the group in OpenIM keeps its conversation. A user who is not registered cannot be a member;
            # USR-01 reports that.
            if registered and group_id not in there and f"{GROUP_CONVERSATION}{group_id}" not in conversations:
                return Problem(
                    summary=f"user {row['user_id']} was a member of legacy group {row['group_id']} when it moved, but never of OpenIM group {group_id}",
                    expected="every member of the legacy group is a member in OpenIM",
                    actual="not a member, and without a conversation of the group, so the user did not leave it later",
                    next_step="Invite the user to the OpenIM group, and check the other members of the same import batch.",
                )
        return None

    joined, chats, accounts = Rows("openim.joined_groups"), Rows("openim.conversation_ids"), Rows("openim.accounts")
    members = Reconcile(
        subject=Rows("group_members", ("group_id", "user_id", "joined_at")),
        against=joined,
        on=("user_id", "member_id"),
        or_against=((chats, "owner_id"), (accounts, "user_id")),
        also=(("group_id", Rows("scope", ("group_id", "openim_group_id", "since")), "group_id"),),
        convert=profile.identity.to_openim,
        judge=judge,
        clocks=clocks,
        unit="legacy memberships",
        statement="groups that have not moved, joins after the move and leaves in OpenIM are not compared",
        unseen=(ROLES,),
    )
    if profile.identity.kind != "column":
        return members
    return replace(
        members,
        against=Rows("users", ("user_id", "openim_user_id")),
        on=("user_id", "user_id"),
        convert=str,
        or_against=(),
        then=tuple(
            ("openim_user_id", *home) for home in ((joined, "member_id"), (chats, "owner_id"), (accounts, "user_id"))
        ),
    )


def _let_in(profile: Profile, clocks: tuple[str, ...]) -> Reconcile:
    declared = declared_openim_users(profile)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        of_legacy_groups = {str(item["group_id"]) for item in partners if "joined_at" in item}
        ours = any(item.get("active", True) for item in partners if "group_id" not in item)
        for item in partners:
            if "since" not in item or not ours or row["in_openim_since"] > item["since"]:
                continue  # joined in OpenIM after the move
            if item["group_id"] is not None and str(item["group_id"]) not in of_legacy_groups:
                return Problem(
                    summary=f"user {row['user_id']} has been in OpenIM group {row['group_id']} since before it moved, but was not a member of legacy group {item['group_id']}",
                    expected="only the members of the legacy group",
                    actual=f"a member since {row['in_openim_since']:%Y-%m-%d %H:%M:%S} UTC; the group moved at {item['since']:%Y-%m-%d %H:%M:%S} UTC",
                    next_step="Remove the user from the group, unless the legacy row was deleted after the move.",
                )
        return None

    active = ("active",) if profile.has("users", "active") else ()
    legacy = Rows("group_members", ("group_id", "user_id", "joined_at"))
    members = Reconcile(
        subject=Rows("openim.group_members"),
        against=legacy,
        on=("user_id", "user_id"),
        or_against=((Rows("users", ("user_id", *active)), "user_id"),),
        also=(("group_id", Rows("scope", ("group_id", "openim_group_id", "since")), "openim_group_id"),),
        convert=profile.identity.from_openim,
        applies=lambda row: not any(fnmatchcase(str(row["user_id"]), pattern) for pattern in declared),
        judge=judge,
        clocks=clocks,
        unit="memberships in OpenIM",
        statement="joins after the move are not compared",
        unseen=(UNORDERED, "members who are not active users of the platform (USR-02)"),
    )
    if profile.identity.kind != "column":
        return members
    return replace(
        members,
        against=Rows("users", ("user_id", "openim_user_id", *active)),
        on=("user_id", "openim_user_id"),
        convert=str,
        or_against=(),
        then=(("user_id", legacy, "user_id"),),
    )


def _moved_after(partners: Sequence[Row], joined_at: datetime | None) -> Iterator[str]:
    """The OpenIM ids of the moved groups that a member had joined before the move. GRP-01 reports later legacy joins."""
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
    """Each of two owners can dismiss or transfer the group; without an owner nobody can. Repeating a transfer as
    administrator leaves two owners [F49]."""

    ours = is_own_user(profile)
    scoped = profile.has("scope", "openim_group_id")

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        owning = [item for item in partners if "user_id" in item]
        if len(owning) == 1:
            return None
        # The id of a group need not say whose it is; its owners do, and so does the platform's own list.
        listed = any("openim_group_id" in item for item in partners)
        if not listed and not any(ours(name) for name in (row["owner_id"], *(item["user_id"] for item in owning))):
            return None
        owners = ", ".join(sorted(str(item["user_id"]) for item in owning)[:4])
        return Problem(
            summary=f"OpenIM group {row['group_id']} has {len(owning) or 'no'} owners",
            expected="exactly one owner",
            actual=owners or "none",
            next_step="Make one member the owner, and reset the level of the others with group/set_group_member_info.",
        )

    def registered(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None
        return Problem(
            summary=f"member {row['user_id']} of OpenIM group {row['group_id']} is not registered as a user",
            expected="every member is registered in OpenIM",
            actual="not registered",
            next_step="Register the user (user/user_register), or remove the member.",
        )

    return [
        Reconcile(
            subject=Rows("openim.groups"),
            against=Rows("openim.group_owners"),
            on=("group_id", "group_id"),
            also=(("group_id", Rows("scope", ("openim_group_id",)), "openim_group_id"),) if scoped else (),
            applies=lambda row: row["status"] != DISMISSED,
            judge=judge,
            unit="groups in OpenIM",
            unseen=(UNORDERED,),
        ),
        Reconcile(
            subject=Rows("openim.group_members"),
            against=Rows("openim.accounts"),
            on=("user_id", "user_id"),
            applies=lambda row: ours(row["user_id"]),
            judge=registered,
            unit="memberships in OpenIM",
        ),
    ]


@check(
    "GRP-06",
    title="Each legacy group became one OpenIM group",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def one_group_each(profile: Profile) -> list[Unique | Rule]:
    """A move that is repeated after a time-out creates a second group, and the members are divided between the two. Names need
    not be unique, so groups are compared by the legacy id that the move stored in `ex`."""
    proofs: list[Unique | Rule] = []
    marker = profile.imports.group_marker
    if marker is not None:
        proofs.append(_twice_in_openim(profile, marker))
    if profile.has("scope", "group_id", "openim_group_id"):
        proofs.append(_two_into_one())
        if profile.roles.openim is not None and profile.roles.openim.prefix_of_groups:
            proofs.append(_within_prefix(profile.roles.openim.prefix_of_groups))
    if not proofs:
        raise NotApplicable("nothing declared: imports.group_marker is not set, and relation scope has no groups")
    return proofs


def _twice_in_openim(profile: Profile, marker: str) -> Unique:
    stored = profile.roles.openim_mongo is not None

    def judge(rows: Sequence[Row]) -> Problem:
        legacy = marker_in(rows[0]["ex"], marker)
        names = ", ".join(sorted(str(row["group_id"]) for row in rows)[:4])
        return Problem(
            key=names,
            summary=f"legacy group {legacy} became {len(rows)} groups in OpenIM: {names}",
            expected="one group",
            actual=str(len(rows)),
            next_step="Dismiss the groups that the platform does not refer to. Create groups with ids of your own, so that OpenIM refuses a repeated request.",
        )

    return Unique(
        subject=Rows("openim_mongo.group" if stored else "openim.groups"),
        value=lambda row: None if row["status"] == DISMISSED else marker_in(row["ex"], marker) or None,
        judge=judge,
        unit="groups in OpenIM that came from a legacy group",
        unseen=() if stored else (UNORDERED,),
    )


def _within_prefix(prefix: str) -> Rule:
    """In an OpenIM that others use too, a group without the platform's prefix would be judged by no check."""

    def judge(row: Row) -> Problem | None:
        if str(row["openim_group_id"]).startswith(prefix):
            return None
        return Problem(
            summary=f"legacy group {row['group_id']} became OpenIM group {row['openim_group_id']}, whose id counts as another application's",
            expected=f"an id that begins with {prefix!r}",
            actual=str(row["openim_group_id"]),
            next_step="Correct the mapping in relation scope, or roles.openim.group_id_prefix of the profile.",
        )

    return Rule(
        subject=Rows("scope", ("group_id", "openim_group_id")),
        applies=lambda row: bool(row["openim_group_id"] and row["group_id"]),
        judge=judge,
        unit="ids of moved groups",
    )


def _two_into_one() -> Unique:
    def judge(rows: Sequence[Row]) -> Problem | None:
        legacy = sorted({str(row["group_id"]) for row in rows})
        if len(legacy) < 2:
            return None
        return Problem(
            key=str(rows[0]["openim_group_id"]),
            summary=f"{len(legacy)} legacy groups became OpenIM group {rows[0]['openim_group_id']}",
            expected="one legacy group",
            actual=", ".join(legacy[:4]),
            next_step="Correct the mapping in relation scope, and create a separate group for each legacy group.",
        )

    return Unique(
        subject=Rows("scope", ("group_id", "openim_group_id")),
        value=lambda row: str(row["openim_group_id"]) if row["openim_group_id"] and row["group_id"] else None,
        judge=judge,
        unit="moved groups",
    )
