"""Row "Reports / audit" [D9]: reports refer to things that exist, and both tables are still written."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.checks.registry import check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Absence, Reconcile

ROW = "Reports / audit"


@check(
    "RPT-01",
    title="Reports refer to users, groups and messages that exist",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def reports_refer(profile: Profile) -> list[Reconcile]:
    """A moderator may open a report months later. What it refers to must still exist, or the report must contain a snapshot of it."""

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners or row.get("archived") or row.get("snapshot"):
            return None
        return Problem(
            summary=f"report {row['report_id']} is about {row['kind']} {row['target_id']}, which does not exist",
            expected=f"an existing {row['kind']}, a snapshot in the report, or an archived report",
            actual="none of them",
            next_step="Store a snapshot with each report, and use the id of the store that owns the reported object.",
        )

    optional = tuple(name for name in ("archived", "snapshot") if profile.has("reports", name))
    columns = ("kind", "target_id", *optional)
    homes: dict[str, list[tuple[Rows, str]]] = {
        "user": [(Rows("users", ("user_id",)), "user_id")],
        "group": [(Rows("openim.groups"), "group_id")],
        "message": [],
    }
    if profile.has("chat_groups", "group_id"):
        homes["group"].append((Rows("chat_groups", ("group_id",)), "group_id"))
    if profile.has("messages", "message_id"):
        homes["message"].append((Rows("messages", ("message_id",)), "message_id"))
    return [
        Reconcile(
            subject=Rows("reports", columns, (Where("kind", "=", kind),)),
            against=places[0][0],
            on=("target_id", places[0][1]),
            or_against=tuple(places[1:]),
            judge=judge,
            unit=f"{kind} reports",
            unseen=("messages in OpenIM, which cannot be looked up by id; their reports need a snapshot",)
            if kind == "message"
            else (),
        )
        for kind, places in homes.items()
        if places
    ]


@check(
    "RPT-02",
    title="Reports and audit rows keep being written, with OpenIM ids",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def reports_live(profile: Profile) -> list[Absence | Reconcile]:
    """A report button that fails without an error is noticed only by the users who need it."""
    proofs: list[Absence | Reconcile] = [
        Absence(
            target=name,
            operations=frozenset({"insert"}),
            inserted_at="created_at" if profile.has(name, "created_at") else None,
            expect="activity",
            noun=f"row of {name}",
            next_step=f"Check that the service still writes {name}, for example by sending a test report.",
            statement=name,
        )
        for name in ("reports", "audit")
        if profile.has(name)
    ]
    if profile.has("reports", "kind", "target_id", "created_at") and profile.has("scope", "group_id"):

        def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
            moved = [item for item in partners if item["since"] < row["created_at"]]
            if not moved:
                return None
            return Problem(
                summary=f"report {row['report_id']} names group {row['target_id']} by its legacy id although the group had moved",
                expected="the OpenIM group id",
                actual="the legacy id",
                next_step="Use OpenIM's group id for moved groups in clients and in the report service.",
            )

        proofs.append(
            Reconcile(
                subject=Rows("reports", ("kind", "target_id", "created_at"), (Where("kind", "=", "group"),)),
                against=Rows("scope", ("group_id", "since")),
                on=("target_id", "group_id"),
                judge=judge,
                unit="group reports",
            )
        )
    return proofs
