"""Three checks of your own.

    verifier list --checks examples/custom_check.py
    verifier explain X-NICK --checks examples/custom_check.py
    verifier run --checks examples/custom_check.py --only X

A check is a function from the profile to a proof, or to several. It reads no store: it names relations and columns of the
profile and a pure function that judges a record. The verifier reads the records in chunks, judges every suspect a second time
after the settle window, and reports findings and coverage. The docstring of a check is the reason that `explain` prints. IDs
of your own checks start with `X-`. An installed package can register checks with the entry point group `openim_ssot.checks`.
"""

from collections.abc import Sequence

from verifier import Phase, Problem, Profile, Reconcile, Row, Rows, Rule, Severity, Unique, Where, check, must_exist

NICKNAME_MAX = 64


def judge_nickname(row: Row) -> Problem | None:
    """What is wrong with one record, or None. Findings name columns and lengths, never personal data."""
    length = len(row["nickname"] or "")
    if length <= NICKNAME_MAX:
        return None
    return Problem(
        summary="the nickname is longer than the clients show",
        expected=f"at most {NICKNAME_MAX} characters",
        actual=f"{length} characters",
        next_step="shorten it, and check the length limit of the API",
    )


@check("X-NICK", title="Nicknames fit the clients", severity=Severity.INFO, phase=Phase.BASELINE, row="own")
def nickname_length(profile: Profile) -> Rule:
    """The clients truncate longer nicknames, and two users may then look the same."""
    return Rule(subject=Rows("users", ("nickname",)), judge=judge_nickname, unit="users")


def judge_phone(rows: Sequence[Row]) -> Problem:
    """Called with two or more records that have the same value."""
    return Problem(summary="several users have the same phone number", expected="one user", actual=f"{len(rows)} users")


@check("X-PHONE", title="A phone number belongs to one user", severity=Severity.HIGH, phase=Phase.BASELINE, row="own")
def unique_phone(profile: Profile) -> Unique:
    """Users sign in with their phone number."""
    profile.relation("users", "phone")  # not applicable where the profile does not map the column
    return Unique(
        subject=Rows("users", ("phone",)), value=lambda row: row["phone"], judge=judge_phone, unit="phone numbers"
    )


@check("X-ACTIVE", title="Every active user is in OpenIM", severity=Severity.HIGH, phase=Phase.REGISTERED, row="own")
def active_users(profile: Profile) -> Reconcile:
    """Stricter than USR-01, which expects users in OpenIM only after their first login."""
    return Reconcile(
        subject=Rows("users", ("openim_user_id",), (Where("active", "=", True),)),
        against=Rows("openim.accounts", ("user_id",)),
        on=("openim_user_id", "user_id"),
        judge=must_exist(
            "an active user is not registered in OpenIM",
            expected="OpenIM user {openim_user_id}",
            next_step="register {openim_user_id} with POST /user/user_register",
        ),
        unit="active users",
    )
