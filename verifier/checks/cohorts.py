"""Row "Conversation list / seq" [D2]: where users move in cohorts, their conversations move by the declared rule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Reconcile

MEMBERS = (("conversation_members", "conversation_id"), ("group_members", "group_id"))


@check(
    "CNV-07",
    title="Conversations of migrated and legacy users move by the declared rule",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    until=Phase.CUTOVER,
    row="Conversation list / seq",
)
def mixed_by_rule(profile: Profile) -> list[Reconcile]:
    """A conversation can be in one home only. If it moves before all of its members do, the others no longer see it; if it stays,
    those who have moved do not. `scope.mixed` says which of the two the stack chose, and its scope must agree."""
    rule = profile.scope.mixed
    if rule is None and "cohorts" not in profile.relations:
        raise NotApplicable("users do not move in cohorts: relation cohorts is not mapped, and scope.mixed is not set")
    profile.relation("cohorts", "user_id", "since")
    mapped = [(name, column) for name, column in MEMBERS if profile.has(name, column, "user_id")]
    mapped = [(name, column) for name, column in mapped if profile.has("scope", column, "since")]
    if not mapped:
        profile.relation(MEMBERS[0][0], MEMBERS[0][1], "user_id")
        profile.relation("scope", MEMBERS[0][1], "since")
    return [_members(profile, name, column, all_members=rule != "any_member") for name, column in mapped]


def _members(profile: Profile, name: str, column: str, *, all_members: bool) -> Reconcile:
    what = column.removesuffix("_id")
    joined = ("joined_at",) if profile.has(name, "joined_at") else ()

    def too_early(row: Row, partners: Sequence[Row]) -> Problem | None:
        entry = next((item for item in partners if column in item and "since" in item), None)
        if entry is None or _has_moved(partners, column) or _came_later(row, entry):
            return None
        return Problem(
            summary=f"{what} {row[column]} moved although its member {row['user_id']} has not",
            expected="all members have moved (scope.mixed = 'all_members')",
            actual=f"{row['user_id']} is in no cohort",
            next_step=f"Move the member, or take the {what} back until all of its members have moved.",
        )

    def left_out(row: Row, partners: Sequence[Row]) -> Problem | None:
        if any(column in item for item in partners) or not _has_moved(partners, column):
            return None
        return Problem(
            summary=f"member {row['user_id']} has moved, but {what} {row[column]} has not",
            expected="a conversation moves with its first member (scope.mixed = 'any_member')",
            actual=f"the {what} is neither in relation scope nor in relation neighbours",
            next_step=f"Move the {what}, or list it in relation neighbours if it stays on purpose.",
        )

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if any("active" in item and not item["active"] for item in partners):
            return None  # a deleted or banned user never moves
        return (too_early if all_members else left_out)(row, partners)

    also = [(column, Rows("scope", (column, "since")), column)]
    if not all_members and profile.has("neighbours", column):
        also.append((column, Rows("neighbours", (column,)), column))
    if profile.has("users", "user_id", "active"):
        also.append(("user_id", Rows("users", ("user_id", "active")), "user_id"))
    return Reconcile(
        subject=Rows(name, (column, "user_id", *joined)),
        against=Rows("cohorts", ("user_id", "since")),
        on=("user_id", "user_id"),
        also=tuple(also),
        judge=judge,
        clocks=(profile.relation(name).role, profile.relation("scope").role),
        unit=f"members of {what}s",
        statement="all members must have moved" if all_members else "one member must have moved",
    )


def _has_moved(partners: Sequence[Row], column: str) -> bool:
    """Whether a row of `cohorts` is among the partners. A time that is not known or cannot be read counts as past."""
    now = datetime.now(UTC)
    times = [item["since"] for item in partners if "since" in item and column not in item]
    return any(not isinstance(at, datetime) or at <= now for at in times)


def _came_later(row: Row, entry: Row) -> bool:
    """Whether a member joined the legacy conversation after it had moved, which GRP-01 reports."""
    joined, since = row.get("joined_at"), entry["since"]
    return isinstance(joined, datetime) and isinstance(since, datetime) and joined > since
