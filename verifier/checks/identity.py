"""Row "User registry in OpenIM", seen from OpenIM: its users are ours, one for one, and an id means one person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.identity import LEGAL_OPENIM_ID
from verifier.profile.models import Profile
from verifier.proofs import Reconcile, Rule, Unique

ROW = "User registry in OpenIM"
ORDINARY_LEVELS = (0, 1)
UNORDERED = "users that paging passed over: OpenIM pages without an order"


@check(
    "USR-02",
    title="Every ordinary OpenIM user is one of ours",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def known_to_us(profile: Profile) -> Reconcile:
    """Who is in OpenIM alone was registered past the user-service: nobody can block, delete or bill that account."""
    declared = declared_openim_users(profile)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None
        return Problem(
            summary=f"OpenIM knows user {row['user_id']}, whom the user-service does not",
            expected="a user of ours, or an id declared under inventory.openim_users",
            actual="not there",
            next_step="Find out who registered it: a test, an import, a second service. Declare it, or remove it from OpenIM.",
        )

    return Reconcile(
        subject=Rows("openim.users"),
        against=Rows("users", ("user_id", "openim_user_id")),
        on=("user_id", "openim_user_id"),
        applies=lambda row: (
            row["level"] in ORDINARY_LEVELS
            and not any(fnmatchcase(str(row["user_id"]), pattern) for pattern in declared)
        ),
        judge=judge,
        unit="OpenIM users",
        unseen=(UNORDERED,),
    )


def declared_openim_users(profile: Profile) -> tuple[str, ...]:
    """Patterns of OpenIM ids that are nobody of ours on purpose: what the profile lists, and the canaries."""
    canaries = profile.canary.users if profile.canary else ()
    return (*profile.inventory.openim_users, *canaries, *(profile.identity.to_openim(name) for name in canaries))


@check(
    "USR-03",
    title="One OpenIM id, one user: no two that differ in case or blanks alone",
    severity=Severity.HIGH,
    phase=Phase.BASELINE,
    row=ROW,
)
def injective(profile: Profile) -> list[Unique]:
    """Two users on one OpenIM id read each other's messages; ids that differ in case alone will be mixed up by somebody."""

    def clash(home: str, column: str) -> Unique:
        def judge(rows: Sequence[Row]) -> Problem | None:
            ids = sorted({str(row[column]) for row in rows})
            return Problem(
                summary=f"{len(rows)} users of {home} have OpenIM ids that {'are the same' if len(ids) == 1 else 'differ in case or blanks alone'}",
                expected="one user for each id, told apart by more than case and blanks",
                actual=", ".join(ids[:4]),
                next_step="Decide on one canonical form, give one of them another id, and refuse the other form at registration.",
            )

        return Unique(
            subject=Rows(home, (column,) if home == "users" else ()),
            value=lambda row: str(row[column]).strip().casefold() if row[column] is not None else None,
            judge=judge,
            unit="users" if home == "users" else "OpenIM users",
            unseen=() if home == "users" else (UNORDERED,),
        )

    proofs = [clash("users", "openim_user_id")]
    if profile.roles.openim is not None and profile.phase.reached(Phase.REGISTERED):
        proofs.append(clash("openim.users", "user_id"))
    return proofs


@check(
    "USR-04",
    title="No user id that OpenIM's conversation ids cannot hold",
    severity=Severity.CRITICAL,
    phase=Phase.BASELINE,
    row=ROW,
)
def legal_ids(profile: Profile) -> list[Rule | Unique]:
    """OpenIM builds conversation ids from user ids: a foreign character is refused, and `_` makes two pairs share one id. Where
    OpenIM's database is given, pairs that do share one are found; without it nothing tells of them."""

    def judge(row: Row) -> Problem | None:
        openim_id = str(row["openim_user_id"])
        if LEGAL_OPENIM_ID.match(openim_id):
            return None
        foreign = sorted({char for char in openim_id if not LEGAL_OPENIM_ID.match(char)})
        return Problem(
            summary=f"user {row['user_id']} maps to an OpenIM id that OpenIM refuses",
            expected="letters, digits and _ alone",
            actual=f"it holds {', '.join(repr(char) for char in foreign[:4])}" if foreign else "it is empty",
            next_step="Correct the identity rule of the profile, or the id.",
        )

    stored = profile.roles.openim_mongo is not None and profile.phase.reached(Phase.CUTOVER)
    legal = Rule(
        subject=Rows("users", ("openim_user_id", "active")),
        applies=lambda row: bool(row["active"]),
        judge=judge,
        unit="users",
        unseen=() if stored else ("two pairs of users with _ in their ids that share one conversation id",),
    )
    return [legal, _shared_conversations()] if stored else [legal]


def _shared_conversations() -> Unique:
    """Conversations of two whose ids hold a `_`: all records of one must be of the same pair (T7)."""

    def ambiguous(row: Row) -> str | None:
        name = str(row["conversation_id"])
        return name if name.startswith("si_") and name.count("_") > 2 else None

    def pairs(rows: Sequence[Row]) -> set[frozenset[str]]:
        return {frozenset((str(row["owner_user_id"]), str(row["user_id"]))) for row in rows}

    def judge(rows: Sequence[Row]) -> Problem | None:
        sharing = pairs(rows)
        if len(sharing) < 2:
            return None
        name = str(rows[0]["conversation_id"])
        return Problem(
            key=name,
            summary=f"{len(sharing)} pairs of users share conversation {name}",
            expected="one pair: each conversation has an id of its own",
            actual="; ".join(sorted(" and ".join(sorted(pair)) for pair in sharing)[:4]),
            next_step="They read each other's messages: stop both, and give one of the users an id without _.",
        )

    return Unique(
        subject=Rows("openim_mongo.conversation"),
        value=ambiguous,
        judge=judge,
        unit="records of conversations whose ids are not unambiguous",
        unseen=("a group whose id is that of two users joined by _ (notifications)",),
    )


@check(
    "USR-07",
    title="Deleted and banned users hold no imToken and no live session",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def locked_out(profile: Profile) -> list[Reconcile]:
    """A ban that leaves the token behind is a ban in one place: the banned go on reading and writing."""
    column = profile.token_key_column

    def judge(what: str, who: str) -> Reconcile:
        subject = (
            Rows("im_tokens", (column,)) if what == "imToken" else Rows("sessions", ("user_id", "expires_at"), _live())
        )

        def told(row: Row, partners: Sequence[Row]) -> Problem | None:
            if not partners or any(item["active"] for item in partners):
                return None
            return Problem(
                summary=f"user {row[who]} is deleted or banned and still has {'an' if what == 'imToken' else 'a'} {what}",
                expected=f"no {what}",
                actual="there is one",
                next_step="Log the user out everywhere (OpenIM's force_logout, the token key, the sessions) when the status changes.",
            )

        return Reconcile(
            subject=subject,
            against=Rows("users", ("user_id", "openim_user_id", "active")),
            on=(who, "openim_user_id" if who == "openim_user_id" else "user_id"),
            judge=told,
            unit="imTokens" if what == "imToken" else "live sessions",
        )

    return [judge("imToken", column), judge("live session", "user_id")]


def _live() -> tuple[Where, ...]:
    return (Where("expires_at", ">", datetime.now(UTC)),)
