"""What a walk says of records that it cannot find again, of partners that nobody answered for, and of values it cannot read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest

from tests.verifier.proofs.world import Counted, Table, World, keys
from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.model.values import Unreadable
from verifier.model.verdict import Verdict
from verifier.proofs import Reconcile, Rule, walk, whole
from verifier.proofs.reconcile import must_exist
from verifier.stores.protocols import Completeness

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


def judge(row: Row) -> Problem | None:
    """Records with `bad` are problems."""
    return Problem(summary="bad", expected="good", actual="bad") if row.get("bad") else None


RULE = Rule(subject=Rows("users", ("bad",)), judge=judge, unit="users")
REGISTERED = Reconcile(
    subject=Rows("users", ("bad",)),
    against=Rows("accounts"),
    on=("id", "user_id"),
    judge=must_exist("{id} is missing", expected="registered", next_step="Register it."),
    unit="users",
)


def users(*ids: Any, **more: Any) -> Table:
    """Users without a problem."""
    return Table([{"id": name, "bad": False} for name in ids], **more)


def accounts(*ids: Any, **more: Any) -> Table:
    """Accounts of the other side."""
    return Table([{"user_id": name} for name in ids], key=("user_id",), label="accounts", **more)


def bad(*names: Any, **more: Any) -> Table:
    """Users with a problem, after some without."""
    return Table(
        [{"id": f"u{number}", "bad": False} for number in range(12)] + [{"id": name, "bad": True} for name in names],
        **more,
    )


@pytest.mark.parametrize(
    "name",
    ["abc         ", 5, 2.5, Decimal("1.00"), MOMENT, UUID(int=7), b"\xff\x00", None, float("nan"), "\udcff", ("a", 1)],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("works", [True, False], ids=["found by key", "not found by key"])
async def test_a_suspect_is_found_whatever_the_type_of_its_key(name: Any, works: bool) -> None:
    """Where no look-up finds the key, the relation is read again."""
    table = bad(name, finds=lambda stored, wanted: works and stored == wanted)
    judgement = await World(users=table).run(RULE)
    assert judgement.verdict is Verdict.VIOLATED
    assert len(judgement.findings) == 1


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("abc", "x"),
        (5, 6),
        (Decimal("1.00"), Decimal(2)),
        (MOMENT, MOMENT.replace(hour=1)),
        (b"\xff\x00", b""),
        (None, "x"),
    ],
)
async def test_recheck_finds_a_record_by_the_text_of_its_key(name: Any, other: Any) -> None:
    """The raw key is text, whatever the type of the key is, and although this store finds typed keys alone."""
    world = World(users=Table([{"id": other, "bad": False}, {"id": name, "bad": True}]))
    found = (await world.run(RULE)).findings[0]
    again = await world.run(RULE, only_key=found.raw_key)
    assert [item.fingerprint for item in again.findings] == [found.fingerprint]
    world.tables["users"].rows.pop()
    assert (await world.run(RULE, only_key=found.raw_key)).findings == ()


async def test_a_recheck_of_a_deleted_record_reads_one_chunk() -> None:
    """That look-ups work is known from a few records, so the relation is not read again."""
    world = World(users=bad("x"))
    found = (await world.run(RULE)).findings[0]
    table = world.tables["users"] = Table([{"id": f"u{number}", "bad": False} for number in range(100)])
    assert (await world.run(RULE, only_key=found.raw_key)).findings == ()
    assert sum(len(values) for _, values in table.lookups) == 6


async def test_the_whole_key_is_compared() -> None:
    """Of a composite key, records that share the first column are others; and a NULL in it does not hide the record."""
    rows = [{"a": "x", "b": number, "bad": number == 3} for number in range(5)] + [{"a": None, "b": 9, "bad": True}]
    table = Table(rows, key=("a", "b"))
    judgement = await World(users=table).run(RULE)
    assert [item.key for item in judgement.findings] == ["x / 3", "None / 9"]
    assert table.readings == 1


async def test_two_records_under_one_key_are_both_judged() -> None:
    """A key of the profile may not be unique: the healthy twin does not heal the other one."""
    for rows in ([("x", True), ("x", False)], [("x", False), ("x", True)]):
        table = Table([{"id": name, "bad": value} for name, value in rows])
        assert (await World(users=table).run(RULE)).verdict is Verdict.VIOLATED


async def test_a_suspect_that_was_found_and_is_gone_has_healed() -> None:
    """The look-up that found it in the first pass does not find it in the second. Nothing is read again."""
    table = bad("x")

    def leave(store: Table) -> None:
        if store.lookups:
            store.rows = [row for row in store.rows if not row["bad"]]

    table.before_lookup = leave
    assert (await World(users=table).run(RULE)).verdict is Verdict.HOLDS
    assert table.readings == 1


async def test_a_suspect_that_cannot_be_found_again_is_unresolved() -> None:
    """A source that is emptied by reading cannot be read again; what was seen there stays a finding."""
    proof = replace(RULE, remembers=True)
    judgement = await World(users=bad("x", finds=lambda stored, wanted: False)).run(proof)
    assert judgement.verdict is Verdict.VIOLATED
    assert judgement.partial
    assert any("could not be found again" in note for note in judgement.notes)


@pytest.mark.parametrize("column", ["subject", "partner"])
async def test_hidden_records_make_a_proof_inconclusive(column: str) -> None:
    """Whichever side hides them."""
    hiding: Callable[[Counted], Completeness] = lambda table: Completeness(hidden=("row-level security",))  # noqa: E731
    rows = [{"id": "a", "user_id": "a", "bad": False}]
    tables: dict[str, Any] = {
        "users": Counted(rows, label="users") if column == "partner" else Counted(rows, label="users", account=hiding),
        "accounts": Counted(rows, label="accounts", account=hiding if column == "partner" else Counted.account),
    }
    judgement = await World(**tables).run(REGISTERED)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "row-level security" in judgement.reason


async def test_a_partner_that_may_be_hidden_is_unknown() -> None:
    """The missing account is no finding where accounts may be hidden; a problem of the record itself is one."""
    other = Counted(
        [{"user_id": "b"}], key=("user_id",), label="accounts", account=lambda table: Completeness(hidden=("RLS",))
    )
    world = World(users=users("a", "b"), accounts=other)
    judgement = await world.run(REGISTERED)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "1 users have no partner that is visible" in judgement.reason

    def differs(row: Row, partners: Sequence[Row]) -> Problem | None:
        return Problem(summary="differs", expected="", actual="") if partners else None

    assert keys(await world.run(replace(REGISTERED, judge=differs))) == ["b"]


async def test_a_shortfall_is_inconclusive_and_a_finding_stays_one() -> None:
    """One record of 25 is counted and never read."""

    class Hiding(Counted):
        async def chunks(self) -> Any:
            async for chunk in super().chunks():
                yield [row for row in chunk if row["id"] != "u7"]

    table = Hiding([{"id": f"u{number}", "bad": False} for number in range(25)], label="users")
    judgement = await World(users=table).run(RULE)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "read 24 of 25 users" in judgement.reason
    table.rows[3]["bad"] = True
    violated = await World(users=table).run(RULE)
    assert (violated.verdict, violated.partial) == (Verdict.VIOLATED, True)
    assert any("read 24 of 25 users" in note for note in violated.notes)


async def test_writes_while_a_relation_is_read_are_no_shortfall() -> None:
    """A record that is deleted and written again under another key escapes one reading; the next one has it."""

    class Busy(Counted):
        async def chunks(self) -> Any:
            async for chunk in super().chunks():
                yield [row for row in chunk if self.readings > 1 or row["id"] != "u7"]

    table = Busy([{"id": f"u{number}", "bad": False} for number in range(30)], label="users")
    assert (await World(users=table).run(RULE)).verdict is Verdict.HOLDS
    assert table.readings == 2


async def test_a_large_busy_relation_is_not_read_again() -> None:
    """A few records fewer than counted are explained where the counts themselves change; many are not."""
    for missing, verdict in ((3, Verdict.HOLDS), (20, Verdict.INCONCLUSIVE)):
        counts = iter((1000, 1002, 1001))
        rows = [{"id": f"u{number}", "bad": False} for number in range(1000 - missing)]
        table = Counted(rows, label="users", account=lambda table, counts=counts: Completeness(counted=next(counts)))  # type: ignore[misc]
        with patch.object(whole, "QUICK_S", -1.0):
            judgement = await World(users=table).run(RULE)
        assert judgement.verdict is verdict
        assert table.readings == 1


@pytest.mark.parametrize("quick_s", [-1.0, 10.0])
async def test_a_shortfall_stands_where_counting_ends(quick_s: float) -> None:
    """Later counts take too long: a count that is not there is not a count of 0."""

    class Hiding(Counted):
        async def chunks(self) -> Any:
            async for chunk in super().chunks():
                yield chunk[:-5]

    counts = iter((25, 25))
    table = Hiding(
        [{"id": f"u{number}", "bad": False} for number in range(25)],
        label="users",
        account=lambda table: Completeness(counted=next(counts, None)),
    )
    with patch.object(whole, "QUICK_S", quick_s):
        judgement = await World(users=table).run(RULE)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "of 25 users" in judgement.reason


async def test_a_source_that_returns_records_twice_does_not_hide_others() -> None:
    """A scan returns some records twice and skips one: the number of records is right, and they are not all of them."""

    class Scan(Counted):
        async def chunks(self) -> Any:
            yield [self.rows[0], *self.rows[:-1]]

    table = Scan([{"id": f"u{number}", "bad": False} for number in range(9)], label="users")
    judgement = await World(users=table).run(RULE)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "read 8 of 9 users" in judgement.reason


async def test_partners_that_were_not_answered_are_unknown() -> None:
    """Silence about an id is neither a breach nor fine. What was found otherwise stays a finding."""
    world = World(users=users("a", "b", "c"), accounts=accounts("a", "b", unanswered=frozenset({"b"})))
    judgement = await world.run(REGISTERED)
    assert keys(judgement) == ["c"]
    assert any(note.startswith("1 of 3 users were not answered") for note in judgement.notes)
    world.tables["accounts"].rows.append({"user_id": "c"})
    judgement = await world.run(REGISTERED)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "1 of 3 users were not answered" in judgement.reason


async def test_an_answer_in_a_later_pass_counts() -> None:
    """A partner that was not answered in the first pass and is there in the second is fine; one that is not is a finding."""
    table = accounts("a", unanswered=frozenset({"a", "b"}))

    def recover(store: Table) -> None:
        if len(store.lookups) > 0:
            store.unanswered = frozenset()

    table.before_lookup = recover
    judgement = await World(users=users("a", "b"), accounts=table).run(REGISTERED)
    assert keys(judgement) == ["b"]
    assert judgement.notes == ()


async def test_a_subject_that_was_not_answered_again_is_unresolved() -> None:
    """The suspect's own store says nothing about it in the second pass."""
    table = bad("x", "y")

    def fall_silent(store: Table) -> None:
        store.unanswered = frozenset({"y"}) if store.lookups else frozenset()

    table.before_lookup = fall_silent
    judgement = await World(users=table).run(RULE)
    assert keys(judgement) == ["x"]
    assert any("were not answered" in note for note in judgement.notes)


async def test_values_that_cannot_be_read_are_counted() -> None:
    """A record with one is not judged, and the proof is inconclusive; findings of others stay."""
    table = users("a", "b")
    table.rows[0]["bad"] = Unreadable("active", "not a boolean: name it in true_values")
    judgement = await World(users=table).run(RULE)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "1 of 2 users have values that cannot be read (bad 'active': not a boolean" in judgement.reason
    table.rows[1]["bad"] = True
    assert keys(await World(users=table).run(RULE)) == ["b"]
    assert (await World(users=table).run(replace(RULE, any_values=True))).findings_total == 2


async def test_an_empty_relation_with_hidden_records_is_not_empty() -> None:
    """Not applicable would be exit code 0 over records that nobody has seen."""
    table = Counted([], label="users", account=lambda table: Completeness(counted=3))
    judgement = await World(users=table).run(RULE)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "read 0 of 3 users" in judgement.reason


@pytest.mark.parametrize("ours", [True, False], ids=["both ignore case", "the subject's store does not"])
async def test_case_is_ignored_only_if_both_stores_ignore_it(ours: bool) -> None:
    """A token under `im:token:BOB` is not the token of `bob`, whatever the table of sessions thinks."""

    def ignores(stored: Any, wanted: Any) -> bool:
        return str(stored).casefold() == str(wanted).casefold()

    names = ["Bob", str(UUID(int=0xAB)).upper()]
    table = users(*names, finds=ignores) if ours else users(*names)
    world = World(users=table, accounts=accounts("bob", str(UUID(int=0xAB)), finds=ignores))
    assert keys(await world.run(REGISTERED)) == ([] if ours else sorted(names))


async def test_suspects_beyond_the_limit_are_counted() -> None:
    """Each of them was seen once; the listed ones are confirmed."""
    with patch.object(walk, "SUSPECTS_MAX", 3):
        judgement = await World(users=bad("a", "b", "c", "d", "e")).run(RULE)
    assert (len(judgement.findings), judgement.findings_total) == (3, 5)
    assert any("2 more suspects" in note for note in judgement.notes)


@pytest.mark.parametrize(("number", "verdict"), [(3, Verdict.NOT_APPLICABLE), (12, Verdict.INCONCLUSIVE)])
async def test_a_column_that_selects_nobody_is_probably_mapped_wrongly(number: int, verdict: Verdict) -> None:
    """A check of the active users, in a platform without one, judges nothing; of few records this says nothing."""
    rule = replace(RULE, applies=lambda row: False, chosen_by="users.active")
    judgement = await World(users=users(*range(number))).run(rule)
    assert judgement.verdict is verdict
    assert ("users.active" in judgement.reason) is (verdict is Verdict.INCONCLUSIVE)
