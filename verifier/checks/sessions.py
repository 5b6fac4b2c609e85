"""Row "Sessions / devices" [D7]: sessions, nonces and the kept tables work as before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from verifier.checks.registry import NotApplicable, check
from verifier.checks.user_service import column_fingerprint, lacking_tables, qualified
from verifier.judges.platform import judge_nonce
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.model.values import has_ended
from verifier.profile.models import Profile
from verifier.profile.relations import Relation
from verifier.proofs import Absence, Delivery, Inventory, Populated, Reconcile, Rule
from verifier.proofs.inventory import Approved
from verifier.proofs.populated import within
from verifier.stores.protocols import StoreObject
from verifier.stores.skew import VERIFIER

KEPT = ("users", "devices", "sessions", "profiles", "friends", "link_requests", "admin_users")
LASTING = ("users", "devices", "profiles", "friends", "admin_users")
"""Those that no ordinary day empties."""


def _expiring(relation: str, noun: str, column: str) -> Rule:
    def judge(row: Row) -> Problem | None:
        if row["ttl_ms"] is not None:
            return None
        return Problem(
            summary=f"a {noun} key has no TTL",
            expected="a TTL",
            actual="none, so the key never expires",
            next_step=f"Set the expiry of {noun} keys in the same command that writes them.",
        )

    return Rule(subject=Rows(relation, (column, "ttl_ms")), judge=judge, unit=f"{noun} keys")


@check(
    "KEEP-01",
    title="The session cache and the HMAC nonces still work",
    severity=Severity.HIGH,
    phase=Phase.BASELINE,
    row="Sessions / devices",
)
def cache_and_nonce(profile: Profile) -> list[Rule | Reconcile | Populated | Delivery]:
    """The move must not break what stays. A cached session without a live session behind it is a login that cannot be revoked. A
    cache that is empty while people are signed in is not written any more, or is lost with every restart."""
    profile.relation("session_cache")
    ends = ("expires_at",) if profile.has("sessions", "expires_at") else ()
    proofs: list[Rule | Reconcile | Populated | Delivery] = [_expiring("session_cache", "session", "session_id")]
    proofs.append(
        Reconcile(
            subject=Rows("session_cache", ("session_id",)),
            against=Rows("sessions", ("session_id", *ends)),
            on=("session_id", "session_id"),
            unit="cached sessions",
            judge=_backed,
            # The end of a session, which a service wrote, is compared with the time of this run.
            clocks=(profile.relation("sessions", "expires_at").role, VERIFIER) if ends else (),
        )
    )
    if profile.has("nonces"):
        proofs.append(_expiring("nonces", "nonce", "nonce"))
    proofs += [Delivery(judge=judge_nonce, statement="replayed nonces"), _cache_is_used(profile, ends)]
    return proofs


def _backed(row: Row, partners: Sequence[Row]) -> Problem | None:
    """A cached session must have a session that was not revoked and has not ended."""
    now = datetime.now(UTC)
    ended = [item["expires_at"] for item in partners if has_ended(item.get("expires_at"), now)]
    if len(ended) < len(partners):
        return None
    return Problem(
        summary="a cached session has no live session behind it",
        expected="a live session in relation sessions",
        actual=f"one that ended at {max(ended):%Y-%m-%d %H:%M:%S} UTC" if ended else "not found",
        next_step="Delete the cache key at logout, ban and expiry.",
    )


def _cache_is_used(profile: Profile, ends: tuple[str, ...]) -> Populated:
    """The cache has sessions while there are live ones. A single missing one proves nothing: the next call restores it."""
    cache = profile.relation("session_cache")
    began = ("created_at",) if profile.has("sessions", "created_at") else ()
    recent = within(cache.alive_within_s, "created_at") if began else None

    def counts(row: Row) -> bool:
        # An end that cannot be read may be past.
        return all(isinstance(row[name], datetime) for name in ends) and (recent is None or recent(row))

    def judge(row: Row) -> Problem:
        at = row.get("created_at")
        return Problem(
            summary="the session cache is empty although people are signed in",
            expected="the sessions of those who use the platform",
            actual=f"no key, and a live session{f' from {at:%Y-%m-%d %H:%M:%S} UTC' if isinstance(at, datetime) else ''}",
            next_step="Check that the services still write the cache, and to which Redis and database index. If it may be empty in "
            "quiet hours, set relations.session_cache.alive_within_s to the lifetime of a key.",
        )

    alive = tuple(Where(name, ">", datetime.now(UTC)) for name in ends)
    return Populated(
        subject=Rows("session_cache", ("session_id",)),
        beside=Rows("sessions", (*ends, *began), alive),
        counts=counts,
        judge=judge,
        unit="cached sessions",
        others="live sessions",
        doubt="nobody signed in within relations.session_cache.alive_within_s, so that it may be empty"
        if recent
        else "when the sessions end cannot be read, so that it may be empty",
    )


@check(
    "KEEP-02",
    title="The kept tables keep their schema and their records, and are still written",
    severity=Severity.MEDIUM,
    phase=Phase.BASELINE,
    row="Sessions / devices",
)
def kept_tables(profile: Profile) -> list[Inventory | Absence | Populated]:
    """Users, devices, sessions, profiles, friends, link requests and administrators are not part of the move."""
    kept = {name: relation for name in KEPT if (relation := profile.relations.get(name)) is not None}
    if not kept:
        raise NotApplicable("none of the kept relations is mapped")
    tables: dict[str, set[str]] = {}
    for place in (place for relation in kept.values() for place in relation.places):
        if place.table:
            tables.setdefault(place.role, set()).add(qualified(place.table))
    schemas = [_same_schema(role, frozenset(names)) for role, names in tables.items()]
    alive = [
        Absence(
            target=name,
            inserted_at="created_at",
            expect="activity",
            noun=f"row of {name}",
            next_step=f"Check that the service still writes {name}, for example by signing in with a test user.",
            statement=name,
        )
        for name in ("users", "sessions")
        if profile.has(name, "created_at")
    ]
    return [*schemas, *alive, *(_still_filled(name, relation) for name, relation in kept.items() if name in LASTING)]


def _same_schema(role: str, tables: frozenset[str]) -> Inventory:
    def judge(objects: Sequence[StoreObject], approved: Approved | None) -> list[Problem]:
        there = {column_fingerprint(item) for item in objects}
        # A relation that was mapped to another table since the baseline is not a loss.
        asked = {name for name in approved or () if name.partition(" ")[0].rpartition(".")[0] in tables}
        return [
            Problem(
                key=name,
                summary=f"column {name} of the baseline is gone or changed",
                expected=name,
                actual=next((item for item in there if item.partition(" ")[0] == name.partition(" ")[0]), "not found"),
                next_step="If the change is intended, take a new baseline: verifier baseline --only KEEP-02.",
            )
            for name in sorted(asked - there)
        ]

    return Inventory(
        role=role,
        kinds=("columns",),
        judge=judge,
        remembered=True,
        fingerprint=column_fingerprint,
        applies=lambda item: item.kind != "column" or item.attributes["table_name"] in tables,
        lacking=lacking_tables(role, tables),
        unit="columns of kept tables",
    )


def _still_filled(name: str, relation: Relation) -> Populated:
    def judge(_row: Row) -> Problem:
        return Problem(
            summary=f"relation {name} had records in an earlier run and is empty now",
            expected="records, as before the move",
            actual="none",
            next_step="Restore the records. If this is intended, take a new baseline: verifier baseline --only KEEP-02.",
        )

    return Populated(subject=Rows(name, relation.key), judge=judge, unit=f"records of {name}")
