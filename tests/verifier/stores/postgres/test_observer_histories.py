# ruff: noqa: S608 - the statements are this test's own
"""Random histories of writes, judged by an absence proof and by a model that saw every statement.

No history with a write in scope holds, none without one is violated, and one without transient rows is never inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest

from tests.verifier.stores.nights import Nights
from tests.verifier.stores.postgres.world import PostgresWorld, members
from verifier.model.verdict import Verdict

pytestmark = pytest.mark.anyio

ALL = frozenset({"insert", "update", "delete", "truncate"})
ROUNDS = 14
SHAPES = {
    "plain": "",
    "partitioned": "PARTITION BY HASH (id)",
}


@dataclass
class Model:
    """The table as it is, and what was written since the last run."""

    random: Random
    groups: tuple[str, ...]
    filtered: bool
    rows: dict[int, tuple[str, bool]] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    statements: list[str] = field(default_factory=list)
    guilty: bool = False
    """A row in scope was written."""
    hidden: bool = False
    """A row was in the relation, or in scope, only between two runs: the coverage says that this is not seen."""
    transient: bool = False
    """A row was written and removed again, whoever's it was."""
    next_id: int = 1
    replaced: set[int] = field(default_factory=set)

    def relevant(self, row: tuple[str, bool] | None) -> bool:
        return row is not None and row[0] == "moved" and not (self.filtered and row[1])

    def begin(self) -> None:
        self.known, self.statements, self.replaced = set(self.rows), [], set()
        self.at_start = dict(self.rows)
        self.guilty = self.hidden = self.transient = False

    def end(self) -> None:
        """Sort the rows that were in scope only in between."""
        self.guilty = bool(self.touched & self.visible())
        self.hidden = bool(self.touched) and not self.guilty

    touched: set[int] = field(default_factory=set)

    def visible(self) -> set[int]:
        """The rows that are in scope before or after, or that did not exist before or do not exist any more."""
        ends = {
            key for key in self.touched if self.relevant(self.rows.get(key)) or self.relevant(self.at_start.get(key))
        }
        return ends | {key for key in self.touched if key not in self.known and key not in self.rows}

    def change(self, key: int, row: tuple[str, bool] | None) -> None:
        before = self.rows.get(key)
        if self.relevant(before) or self.relevant(row):
            self.touched.add(key)
        if row is None:
            del self.rows[key]
            if key not in self.known or key in self.replaced:
                self.transient = True
        else:
            self.rows[key] = row

    def step(self) -> None:
        actions = [
            self.insert,
            self.insert,
            self.update,
            self.toggle,
            self.move,
            self.delete,
            self.replace,
            self.pair,
            self.back,
        ]
        self.random.choice(actions)()
        if self.random.random() < 0.03:
            self.statements.append("TRUNCATE members")
            for key in list(self.rows):
                self.change(key, None)
        elif self.random.random() < 0.05:
            self.statements.append("VACUUM FULL members")

    def pick(self) -> int | None:
        return self.random.choice(sorted(self.rows)) if self.rows else None

    def insert(self) -> None:
        key, row = self.next_id, (self.random.choice(self.groups), self.filtered and self.random.random() < 0.3)
        self.next_id += 1
        self.statements.append(f"INSERT INTO members VALUES ({key}, '{row[0]}', 0, '2020-01-01', {row[1]})")
        self.change(key, row)

    def update(self) -> None:
        if (key := self.pick()) is not None:
            self.statements.append(f"UPDATE members SET role = role + {self.random.choice((0, 1))} WHERE id = {key}")
            self.change(key, self.rows[key])

    def toggle(self) -> None:
        if self.filtered and (key := self.pick()) is not None:
            group, gone = self.rows[key]
            self.statements.append(f"UPDATE members SET gone = {not gone} WHERE id = {key}")
            self.change(key, (group, not gone))

    def move(self) -> None:
        if (key := self.pick()) is not None:
            group = self.random.choice(self.groups)
            self.statements.append(f"UPDATE members SET group_id = '{group}' WHERE id = {key}")
            self.change(key, (group, self.rows[key][1]))

    def delete(self) -> None:
        if (key := self.pick()) is not None:
            self.statements.append(f"DELETE FROM members WHERE id = {key}")
            self.change(key, None)

    def replace(self) -> None:
        if (key := self.pick()) is not None:
            row = self.rows[key]
            self.statements += [
                f"DELETE FROM members WHERE id = {key}",
                f"INSERT INTO members VALUES ({key}, '{row[0]}', 5, '2020-01-01', {row[1]})",
            ]
            self.change(key, row)
            # A second replacement of the same row is a pair that the one row cannot explain.
            self.transient |= key not in self.known or key in self.replaced
            self.replaced.add(key)

    def pair(self) -> None:
        self.insert()
        key = self.next_id - 1
        self.statements.append(f"DELETE FROM members WHERE id = {key}")
        self.change(key, None)

    def back(self) -> None:
        self.statements += ["BEGIN", "INSERT INTO members VALUES (-1, 'moved', 0, now(), false)", "ROLLBACK"]


@pytest.mark.parametrize("filtered", [False, True], ids=["whole", "where"])
@pytest.mark.parametrize("shared", [False, True], ids=["exclusive", "shared"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_no_false_word_about_any_history(
    postgres: PostgresWorld, shape: str, shared: bool, filtered: bool
) -> None:
    """The verdict agrees with the model, whatever is written in whichever order."""
    postgres.write(
        "DROP TABLE members",
        "CREATE TABLE members (id bigint, group_id text, role int, created_at timestamptz, gone boolean) "
        + SHAPES[shape],
    )
    if SHAPES[shape]:
        for number in range(2):
            postgres.write(
                f"CREATE TABLE p{number} PARTITION OF members FOR VALUES WITH (MODULUS 2, REMAINDER {number})"
            )
    random = Random(f"{shape} {shared} {filtered}")  # noqa: S311 - reproducible, not secret
    model = Model(random, ("moved", "support", "help") if shared else ("moved",), filtered)
    relation = members(where="NOT gone" if filtered else None)
    neighbours = frozenset({"support", "help"} if shared else ())
    async with postgres.nights(operations=ALL, neighbours=neighbours, relation=relation, baselined=False) as nights:
        for _ in range(ROUNDS):
            await nights.baseline()
            model.begin()
            model.touched = set()
            for _ in range(random.choice((0, 1, 2, 3, 6))):
                model.step()
            postgres.write(*model.statements)
            model.end()
            await _demand(model, nights)


async def _demand(model: Model, nights: Nights) -> None:
    judgement = await nights.night()
    told = f"{judgement.verdict}: {judgement.reason}\n" + "\n".join(model.statements)
    if model.guilty:
        assert judgement.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE), told
    elif not model.hidden:
        assert judgement.verdict in (Verdict.HOLDS, Verdict.INCONCLUSIVE), told
        if not model.transient and not any("TRUNCATE" in item or "FULL" in item for item in model.statements):
            assert judgement.verdict is Verdict.HOLDS, told
