"""Row "Reports / audit": ours to keep, still written, and pointing at things that exist."""

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
    """A moderator opens the report months later; what it points at must be there, or be kept inside it."""

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners or row.get("archived") or row.get("snapshot"):
            return None
        return Problem(
            summary=f"report {row['report_id']} is about {row['kind']} {row['target_id']}, which does not exist",
            expected=f"an existing {row['kind']}, an archived report, or a snapshot taken at report time",
            actual="none of them",
            next_step="Keep a snapshot with each report, and write the id of the store that owns the thing reported.",
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
            unseen=("messages in OpenIM, which cannot be asked for by id: such a report needs its snapshot",)
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
    """A report button that fails silently is noticed by nobody but the harassed."""
    proofs: list[Absence | Reconcile] = [
        Absence(
            target=name,
            operations=frozenset({"insert"}),
            inserted_at="created_at" if profile.has(name, "created_at") else None,
            expect="activity",
            noun=f"row of {name}",
            next_step=f"Check that the service still writes {name}: send a test report.",
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
                summary=f"report {row['report_id']} names group {row['target_id']} by its legacy id, after the group moved",
                expected="the OpenIM group id",
                actual="the legacy id",
                next_step="Let clients and the report service use OpenIM's group id for moved groups.",
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
