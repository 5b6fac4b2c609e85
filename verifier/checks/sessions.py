"""Row "Sessions / devices" [D7]: sessions, nonces and the kept tables work as before."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import NotApplicable, check
from verifier.checks.user_service import column_fingerprint
from verifier.judges.platform import judge_nonce
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.proofs import Absence, Delivery, Inventory, Reconcile, Rule
from verifier.proofs.inventory import Approved
from verifier.proofs.reconcile import must_exist
from verifier.stores.protocols import StoreObject

KEPT = ("users", "devices", "sessions", "profiles", "friends", "link_requests", "admin_users")


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
def cache_and_nonce(profile: Profile) -> list[Rule | Reconcile | Delivery]:
    """The move must not break what stays. A cached session without a row in PostgreSQL is a login that cannot be revoked."""
    profile.relation("session_cache")
    proofs: list[Rule | Reconcile | Delivery] = [_expiring("session_cache", "session", "session_id")]
    proofs.append(
        Reconcile(
            subject=Rows("session_cache", ("session_id",)),
            against=Rows("sessions", ("session_id",)),
            on=("session_id", "session_id"),
            unit="cached sessions",
            judge=must_exist(
                "a cached session has no live row in PostgreSQL",
                expected="a live row in sessions",
                next_step="Delete the cache key at logout, ban and expiry.",
            ),
        )
    )
    if profile.has("nonces"):
        proofs.append(_expiring("nonces", "nonce", "nonce"))
    proofs.append(Delivery(judge=judge_nonce, statement="replayed nonces"))
    return proofs


@check(
    "KEEP-02",
    title="The kept tables keep their schema and are still written",
    severity=Severity.MEDIUM,
    phase=Phase.BASELINE,
    row="Sessions / devices",
)
def kept_tables(profile: Profile) -> list[Inventory | Absence]:
    """Users, devices, sessions, profiles, friends, link requests and administrators are not part of the move."""
    tables = {
        relation.table if "." in relation.table else f"public.{relation.table}"
        for name in KEPT
        if (relation := profile.relations.get(name)) is not None and relation.table
    }
    if not tables:
        raise NotApplicable("none of the kept relations is mapped to a table")

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

    schema = Inventory(
        role=profile.relation(next(name for name in KEPT if name in profile.relations)).role,
        kinds=("columns",),
        judge=judge,
        remembered=True,
        fingerprint=column_fingerprint,
        applies=lambda item: item.attributes["table_name"] in tables,
        unit="columns of kept tables",
    )
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
    return [schema, *alive]
