"""Row "User registry in OpenIM" [D4]: users are registered, their profile is current, and private fields are not in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Reconcile
from verifier.proofs.reconcile import must_exist

ROW = "User registry in OpenIM"


@check(
    "USR-01",
    title="Every user who logged in is registered in OpenIM",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def registered(profile: Profile) -> Reconcile:
    """Users are registered at their first login. A user who is missing in OpenIM can neither send nor receive messages."""
    since = profile.since_phase(Phase.REGISTERED)
    logged_in = Where("last_login_at", ">=", since) if since else Where("last_login_at", "not null")
    return Reconcile(
        subject=Rows("users", ("openim_user_id", "active", "last_login_at"), (logged_in,)),
        against=Rows("openim.accounts", ("user_id",)),
        on=("openim_user_id", "user_id"),
        applies=lambda row: bool(row["active"]),
        chosen_by="users.active",
        unit="users who logged in",
        judge=must_exist(
            "user {user_id} logged in but is not registered in OpenIM",
            expected="{openim_user_id} is registered in OpenIM",
            next_step="Register the id, or let the user log in again. Then find out why the login at {last_login_at} did not register it.",
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
    """The platform's database is the source of the profile. OpenIM has a copy, which other users see and which must be current."""
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
            expected="the values of users: "
            + ", ".join(f"{name} of {len(canonical(row[name]))} characters" for name in differing),
            actual="the values of OpenIM: "
            + ", ".join(f"{name} of {len(canonical(partners[0][name]))} characters" for name in differing),
            next_step="Send the profile to OpenIM again (update_user_info_ex), and find the code path that changed it without doing so.",
        )

    return Reconcile(
        subject=Rows("users", ("openim_user_id", "active", *(ours for ours, _ in compared))),
        against=Rows("openim.users", ("user_id", "nickname", "face_url")),
        on=("openim_user_id", "user_id"),
        applies=lambda row: bool(row["active"]),
        chosen_by="users.active",
        judge=judge,
        unit="users",
    )


def canonical(text: object) -> str:
    """The text in NFC and without surrounding blanks."""
    return unicodedata.normalize("NFC", str(text or "")).strip()


@check(
    "USR-06",
    title="Phone, email and device data do not appear in OpenIM's user",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def private_fields(profile: Profile) -> Reconcile:
    """Every client can read OpenIM's users [F18]. A private field in `ex`, nickname or face URL is visible to everybody."""
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
                    summary=f"{leaking[0]} of user {row['user_id']} in OpenIM contains the user's {name}",
                    expected=f"{name} only in the platform's database",
                    actual=f"found in {leaking[0]}",
                    next_step=f"Clear it with update_user_info_ex, and remove {name} from the data that registration sends.",
                )
        return None

    return Reconcile(
        subject=Rows("users", ("openim_user_id", *private)),
        against=Rows("openim.users", ("user_id", "nickname", "face_url", "ex")),
        on=("openim_user_id", "user_id"),
        judge=judge,
        unit="users",
        unseen=(
            "device data",
            "private data of one user in the entry of another",
            "values that were transformed before they were sent",
        ),
    )


def _private_form(value: object) -> str:
    """Lower case, without the punctuation of phone numbers; "" if the rest is too short to identify anybody."""
    text = re.sub(r"[\s()\-.]", "", str(value or "")).lower()
    return text if len(text) >= 6 else ""
