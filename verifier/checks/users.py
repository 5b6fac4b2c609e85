"""Row "User registry in OpenIM": everybody who logs in is registered, and our private fields stay ours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Inventory, Reconcile
from verifier.proofs.inventory import Approved
from verifier.proofs.reconcile import must_exist
from verifier.stores.protocols import StoreObject

ROW = "User registry in OpenIM"


@check(
    "USR-01",
    title="Every user that logged in is registered in OpenIM",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def registered(profile: Profile) -> Reconcile:
    """Users are registered at first login; who is missing cannot be written to, and nobody notices until a friend complains."""
    since = profile.since_phase(Phase.REGISTERED)
    logged_in = Where("last_login_at", ">=", since) if since else Where("last_login_at", "not null")
    return Reconcile(
        subject=Rows("users", ("openim_user_id", "active", "last_login_at"), (logged_in,)),
        against=Rows("openim.accounts", ("user_id",)),
        on=("openim_user_id", "user_id"),
        applies=lambda row: bool(row["active"]),
        unit="users that logged in",
        judge=must_exist(
            "user {user_id} logged in but is not registered in OpenIM",
            expected="OpenIM knows {openim_user_id}",
            next_step="Let the user log in again, or register the id; then find out why the login of {last_login_at} did not.",
        ),
    )


@check(
    "USR-05",
    title="Nickname and face URL in OpenIM equal the profile",
    severity=Severity.MEDIUM,
    phase=Phase.REGISTERED,
    row=ROW,
)
def profile_parity(profile: Profile) -> Reconcile:
    """Our database stays the source of truth for the profile; OpenIM shows a copy, which must not go stale."""
    compared = [pair for pair in (("nickname", "nickname"), ("face_url", "face_url")) if profile.has("users", pair[0])]

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        differing = [
            ours
            for ours, theirs in compared
            for partner in partners
            if canonical(row[ours]) != canonical(partner[theirs])
        ]
        if not differing:
            return None
        return Problem(
            summary=f"{' and '.join(differing)} of user {row['user_id']} differ from OpenIM's copy",
            expected="as in users: "
            + ", ".join(f"{name} of {len(canonical(row[name]))} characters" for name in differing),
            actual="OpenIM has: "
            + ", ".join(f"{name} of {len(canonical(partners[0][name]))} characters" for name in differing),
            next_step="Send the profile to OpenIM again (update_user_info_ex), and find the path that changed it without.",
        )

    return Reconcile(
        subject=Rows("users", ("openim_user_id", "active", *(ours for ours, _ in compared))),
        against=Rows("openim.users", ("user_id", "nickname", "face_url")),
        on=("openim_user_id", "user_id"),
        applies=lambda row: bool(row["active"]),
        judge=judge,
        unit="users",
    )


def canonical(text: object) -> str:
    """Text as people see it: NFC, without surrounding blanks."""
    return unicodedata.normalize("NFC", str(text or "")).strip()


@check(
    "USR-06",
    title="Phone, email and device never appear in OpenIM's user",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def private_fields(profile: Profile) -> Reconcile:
    """OpenIM holds what others may see. A private field in `ex`, nickname or face URL is shown to every client that asks."""
    private = [name for name in ("phone", "email") if profile.has("users", name)]

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        for name in private:
            secret = _private_form(row[name])
            leaking = [
                field
                for partner in partners
                for field in ("ex", "nickname", "face_url")
                if secret and secret in _private_form(partner[field])
            ]
            if leaking:
                return Problem(
                    summary=f"OpenIM's {leaking[0]} of user {row['user_id']} holds the user's {name}",
                    expected=f"{name} in our database alone",
                    actual=f"found inside {leaking[0]}",
                    next_step=f"Clear it with update_user_info_ex and remove {name} from what registration sends.",
                )
        return None

    return Reconcile(
        subject=Rows("users", ("openim_user_id", *private)),
        against=Rows("openim.users", ("user_id", "nickname", "face_url", "ex")),
        on=("openim_user_id", "user_id"),
        judge=judge,
        unit="users",
        unseen=("private data under another user's id", "values that were transformed before they were sent"),
    )


def _private_form(value: object) -> str:
    """Lower case, without the punctuation that people put into phone numbers; too short to mean anything = nothing."""
    text = re.sub(r"[\s()\-.]", "", str(value or "")).lower()
    return text if len(text) >= 6 else ""


@check(
    "USR-08",
    title="The user-service schema holds no message storage",
    severity=Severity.HIGH,
    phase=Phase.BASELINE,
    row="PostgreSQL (user-service)",
)
def schema_unchanged(profile: Profile) -> Inventory:
    """The doc adds nothing to the user-service for OpenIM; a new table or column there is either approved or a second home."""
    profile.relation("users")
    allowed = profile.inventory.tables

    def judge(objects: Sequence[StoreObject], approved: Approved | None) -> list[Problem]:
        if approved is None:
            return []
        problems = []
        for item in objects:
            if column_fingerprint(item) in approved or any(
                item.name == name or item.name.startswith(f"{name}.") for name in allowed
            ):
                continue
            problems.append(
                Problem(
                    key=item.name,
                    summary=f"column {item.name} is not the one of the baseline",
                    expected="the schema of the baseline, or an approved change",
                    actual=f"{item.name} {item.attributes['type']}",
                    next_step="If it is meant, approve it under inventory.tables or take a new baseline; message data does not belong here.",
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


def column_fingerprint(item: StoreObject) -> str:
    """What is remembered of a column."""
    return f"{item.name} {item.attributes['type']}"
