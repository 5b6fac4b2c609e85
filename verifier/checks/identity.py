"""Row "User registry in OpenIM" [D4]: each OpenIM id belongs to one user of the platform, and locked users have no access."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.identity import LEGAL_OPENIM_ID
from verifier.profile.models import Profile
from verifier.proofs import Reconcile, Rule, Unique
from verifier.stores.openim.conversation_ids import is_ambiguous, pair_text

ROW = "User registry in OpenIM"
ORDINARY_LEVELS = (0, 1)
UNORDERED = "users that paging skipped, because OpenIM pages without an order"


@check(
    "USR-02",
    title="Every ordinary OpenIM user is a user of the platform",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def known_to_us(profile: Profile) -> Reconcile:
    """A user who exists only in OpenIM was registered without the user-service. The platform cannot block or delete such an account."""
    declared = declared_openim_users(profile)

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None
        return Problem(
            summary=f"user {row['user_id']} exists in OpenIM but not in the user-service",
            expected="a user of the platform, or an id listed in inventory.openim_users",
            actual="not found",
            next_step="Find out what registered it, for example a test, an import or another service. List it in inventory.openim_users, or remove it from OpenIM.",
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


def by_openim_id(profile: Profile, proof: Reconcile) -> Reconcile:
    """A proof that looks up OpenIM's records by a user's OpenIM id, for a subject that has the platform's. Where only relation
    `users` maps the two, it is asked first; its rows, with `openim_user_id`, are then among the partners."""
    if profile.identity.kind != "column":
        return proof
    here, there = proof.on
    return replace(
        proof,
        against=Rows("users", ("user_id", "openim_user_id")),
        on=(here, "user_id"),
        convert=str,
        then=(("openim_user_id", proof.against, there), *proof.then),
    )


def is_own_user(profile: Profile) -> Callable[[object], bool]:
    """Whether an OpenIM user id is one of this platform, in an OpenIM that other applications use too."""
    prefix = profile.roles.openim.id_prefix if profile.roles.openim else ""
    return lambda openim_id: str(openim_id).startswith(prefix)


def declared_openim_users(profile: Profile) -> tuple[str, ...]:
    """Patterns of OpenIM ids that are not users of the platform on purpose: those of the profile, and the canaries."""
    canaries = profile.canary.users if profile.canary else ()
    return (*profile.inventory.openim_users, *canaries, *(profile.identity.to_openim(name) for name in canaries))


@check(
    "USR-03",
    title="Each OpenIM id belongs to one user, and no two ids differ only in case or blanks",
    severity=Severity.HIGH,
    phase=Phase.BASELINE,
    row=ROW,
)
def injective(profile: Profile) -> list[Unique]:
    """Two users with one OpenIM id read each other's messages. Ids that differ only in case or surrounding blanks are easily mixed up."""

    def clash(home: str, column: str) -> Unique:
        def judge(rows: Sequence[Row]) -> Problem | None:
            ids = sorted({str(row[column]) for row in rows})
            return Problem(
                summary=f"{len(rows)} users of {home} have OpenIM ids that {'are the same' if len(ids) == 1 else 'differ only in case or blanks'}",
                expected="one user for each id, with ids that differ in more than case and blanks",
                actual=", ".join(ids[:4]),
                next_step="Choose one canonical form, give all but one of the users another id, and refuse other forms at registration.",
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
    title="User ids fit OpenIM's alphabet and make unambiguous conversation ids",
    severity=Severity.CRITICAL,
    phase=Phase.BASELINE,
    row=ROW,
)
def legal_ids(profile: Profile) -> list[Rule | Unique | Reconcile]:
    """OpenIM builds conversation ids from user ids. It refuses characters outside its alphabet [F33], and an id with `_` can
    give two pairs of users the same conversation id [F55]. Such pairs are looked for in OpenIM's messages or, without access to
    its database, in the lists of conversations of users whose ids can be mistaken. In an OpenIM that others use too, an id without
    the platform's prefix counts as another application's, and no check would judge that user."""
    prefix = profile.roles.openim.id_prefix if profile.roles.openim else ""

    def judge(row: Row) -> Problem | None:
        openim_id = str(row["openim_user_id"])
        if LEGAL_OPENIM_ID.match(openim_id):
            return None if openim_id.startswith(prefix) else _outside(row, prefix)
        illegal = sorted({char for char in openim_id if not LEGAL_OPENIM_ID.match(char)})
        return Problem(
            summary=f"user {row['user_id']} is mapped to an id that OpenIM refuses",
            expected="only letters, digits and _",
            actual=f"it contains {', '.join(repr(char) for char in illegal[:4])}" if illegal else "it is empty",
            next_step="Correct the id, or the [identity] section of the profile.",
        )

    legal = Rule(
        subject=Rows("users", ("openim_user_id", "active")),
        applies=lambda row: bool(row["active"]),
        judge=judge,
        unit="users",
        unseen=() if profile.phase.reached(Phase.CUTOVER) else (_SHARED,),
    )
    if not profile.phase.reached(Phase.CUTOVER):
        return [legal]
    if profile.roles.openim_mongo is not None:
        return [legal, _sharing("openim_mongo.conversation"), _sharing("openim_mongo.msg_pair")]
    return [legal, _sharing_by_rest()] if profile.roles.openim is not None else [replace(legal, unseen=(_SHARED,))]


def _outside(row: Row, prefix: str) -> Problem:
    return Problem(
        summary=f"user {row['user_id']} is mapped to an id that counts as another application's",
        expected=f"an id that begins with {prefix!r} (roles.openim.id_prefix)",
        actual=str(row["openim_user_id"]),
        next_step="Correct the id, the [identity] section of the profile, or roles.openim.id_prefix.",
    )


_SHARED = "pairs of users with _ in their ids that share one conversation id"


def _sharing(relation: str) -> Unique:
    """Single chats between users with `_` in their ids: all records, and all messages, of one conversation must be of the same
    pair [F55]. OpenIM makes a user's record of a conversation later than its messages, and a user may delete it."""
    records = relation == "openim_mongo.conversation"

    def pair_of(row: Row) -> str:
        if not records:
            return str(row["pair"])
        return pair_text((str(row["owner_user_id"]), str(row["user_id"])))

    def judge(rows: Sequence[Row]) -> Problem | None:
        sharing = sorted({pair_of(row) for row in rows})
        return _shared(str(rows[0]["conversation_id"]), sharing) if len(sharing) > 1 else None

    return Unique(
        subject=Rows(relation),
        value=lambda row: str(row["conversation_id"]) if is_ambiguous(str(row["conversation_id"])) else None,
        judge=judge,
        unit="records of conversations with ambiguous ids" if records else "pairs in conversations with ambiguous ids",
        unseen=("a group whose id equals two user ids joined by _ (notifications)",) if records else (),
    )


def _sharing_by_rest() -> Reconcile:
    def judge(_row: Row, partners: Sequence[Row]) -> Problem | None:
        if not partners:
            return None
        first = partners[0]
        sharing = {
            first["pair"],
            *(row["other"] for row in partners if row["conversation_id"] == first["conversation_id"]),
        }
        return _shared(str(first["conversation_id"]), sorted(sharing))

    return Reconcile(
        subject=Rows("users", ("openim_user_id",)),
        against=Rows("openim.shared_chats"),
        on=("openim_user_id", "user_id"),
        applies=lambda row: "_" in str(row["openim_user_id"]),
        judge=judge,
        unit="users with _ in their ids",
        unseen=("shared conversations that one of the users deleted from the list",),
    )


def _shared(name: str, sharing: Sequence[str]) -> Problem:
    return Problem(
        key=name,
        summary=f"{len(sharing)} pairs of users share conversation {name}",
        expected="one pair of users for each conversation",
        actual="; ".join(sharing[:4]),
        next_step="The pairs can read each other's messages. Stop both conversations, and give one of the users an id without _.",
    )


@check(
    "USR-07",
    title="Deleted and banned users have no imToken and no live session",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def locked_out(profile: Profile) -> list[Reconcile]:
    """A banned user whose token or session remains can still read and write."""
    column = profile.token_key_column

    def prove(what: str, who: str) -> Reconcile:
        subject = (
            Rows("im_tokens", (column,)) if what == "imToken" else Rows("sessions", ("user_id", "expires_at"), _live())
        )

        def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
            if not partners or any(item["active"] for item in partners):
                return None
            return Problem(
                summary=f"user {row[who]} is deleted or banned and still has {'an' if what == 'imToken' else 'a'} {what}",
                expected=f"no {what}",
                actual=f"{'an' if what == 'imToken' else 'a'} {what}",
                next_step="When a user's status changes, end all access: call OpenIM's force_logout, and delete the token key and the sessions.",
            )

        return Reconcile(
            subject=subject,
            against=Rows("users", ("user_id", "openim_user_id", "active")),
            on=(who, "openim_user_id" if who == "openim_user_id" else "user_id"),
            judge=judge,
            unit="imTokens" if what == "imToken" else "live sessions",
        )

    return [prove("imToken", column), prove("live session", "user_id")]


def _live() -> tuple[Where, ...]:
    return (Where("expires_at", ">", datetime.now(UTC)),)
