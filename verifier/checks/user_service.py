"""Rows "User profile (our fields)" [D5] and "PostgreSQL (user-service)" [D6]: both stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from verifier.checks.identity import by_openim_id
from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.profile.relations import Relation
from verifier.profile.roles import MongoRole
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
    """The move adds nothing to the user-service. A new table, column or collection is either approved or may be a second home for
    messages."""
    users = profile.relation("users")
    if users.keys:
        raise NotApplicable("relation users is in Redis, which has no schema")
    return _no_new_collection(profile, users) if users.collection else _no_new_column(profile, users)


def _no_new_column(profile: Profile, users: Relation) -> Inventory:
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
        role=users.role,
        kinds=("columns",),
        judge=judge,
        remembered=True,
        fingerprint=column_fingerprint,
        unit="columns",
    )


def _no_new_collection(profile: Profile, users: Relation) -> Inventory:
    """For users in MongoDB, which has no schema: no collection beside those of the baseline, in the users' database."""
    database = database_of(profile, users)
    declared = {f"{database}.{item.collection}" for item in profile.places if item.collection}

    def judge(objects: Sequence[StoreObject], approved: Approved | None) -> list[Problem]:
        return [
            Problem(
                key=item.name,
                summary=f"collection {item.name} is new since the baseline",
                expected="the collections of the baseline, or an approved one",
                actual=f"fields {', '.join(list(item.attributes.get('fields', ()))[:8]) or 'not seen'}",
                next_step="If it is intended, approve it under inventory.collections or take a new baseline: verifier baseline --only USR-08. Message data does not belong here.",
            )
            for item in objects
            if approved is not None
            and item.name not in (approved | declared)
            and not any(fnmatchcase(item.name, pattern) for pattern in profile.inventory.collections)
        ]

    return Inventory(
        role=users.role,
        kinds=("collections",),
        judge=judge,
        remembered=True,
        applies=lambda item: item.kind == "limitation" or item.name.startswith(f"{database}."),
        unit="collections",
        unseen=("new fields in documents",),
    )


def qualified(table: str) -> str:
    """A table with its schema."""
    return table if "." in table else f"public.{table}"


def lacking_tables(role: str, tables: Collection[str]) -> Callable[[Sequence[StoreObject]], str]:
    """For `Inventory.lacking`: which of these tables have no column among those that were listed."""

    def lacking(objects: Sequence[StoreObject]) -> str:
        there = {str(item.attributes["table_name"]) for item in objects}
        missing = sorted(set(tables) - there)
        if not missing:
            return ""
        return (
            f"the columns of {', '.join(missing)} are not visible in {role}: give the table with its schema in the profile, and the "
            "verifier's role SELECT on it"
        )

    return lacking


def database_of(profile: Profile, relation: Relation) -> str:
    """The MongoDB database of a relation's role."""
    role = profile.roles.get(relation.role)
    return role.database if isinstance(role, MongoRole) else ""


def _known(item: StoreObject, approved: Approved) -> bool:
    """Whether the baseline has a column, or has it in a table of which this one is a new partition or child."""
    about = item.attributes
    return column_fingerprint(item) in approved or any(
        f"{name}.{about['column_name']} {about['type']}" in approved for name in about.get("ancestors", ())
    )


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

    by_column = profile.identity.kind == "column"

    def openim_ids(user_id: object, partners: Sequence[Row]) -> set[str]:
        if not by_column:
            return {profile.identity.to_openim(user_id)}
        users = [item for item in partners if "openim_user_id" in item]
        return {str(item["openim_user_id"]) for item in users if str(item["user_id"]) == str(user_id)}

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        own, wanted = openim_ids(row["user_id"], partners), openim_ids(row["friend_id"], partners)
        theirs = [item for item in partners if "friend_id" in item and str(item["owner_id"]) in own]
        if any(str(item["friend_id"]) in wanted for item in theirs):
            return None
        return Problem(
            summary=f"{row['friend_id']} is a friend of {row['user_id']} on the platform but not in OpenIM",
            expected="the same friend in OpenIM",
            actual=f"{len(theirs)} other friends",
            next_step="Mirror the friendship with import_friend, and find the code path that did not.",
        )

    friends = Reconcile(
        subject=Rows("friends", ("user_id", "friend_id")),
        against=Rows("openim.friends"),
        on=("user_id", "owner_id"),
        convert=profile.identity.to_openim,
        judge=judge,
        unit="friendships",
        unseen=("friends that exist only in OpenIM",),
    )
    if not by_column:
        return friends
    users = Rows("users", ("user_id", "openim_user_id"))
    return replace(by_openim_id(profile, friends), also=(("friend_id", users, "user_id"),))
