"""What `Rule` and `Reconcile` have in common: a relation that is read record by record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from verifier.model.invariant import Problem, Row
from verifier.model.query import Rows
from verifier.proofs.open_findings import Settled

ValueOf = str | Callable[[Row], Any]
"""What is looked up: a column of the record, or a function that makes the value from several; None matches nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Partners:
    """Where the partners of a record are looked up.

    A record's value in `column`, after `convert`, is looked up in each of `homes`: (relation, its column). `convert` returns
    None for a value that cannot have a partner. `also` adds lookups by other columns of the record, with values as they
    are: (record's column, relation, its column). `then` adds lookups by a column of the partners found so far: (partner's
    column, relation, its column). A partner without that column, or with None in it, leads no further.
    """

    column: str
    convert: Callable[[Any], Any]
    homes: tuple[tuple[Rows, str], ...]
    also: tuple[tuple[ValueOf, Rows, str], ...] = ()
    then: tuple[tuple[str, Rows, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecordProof:
    """Read `subject` and judge each record, alone or together with its partners in other relations.

    `applies` selects the records that the invariant is about. `sample` limits how many are judged.

    `second_pass_s` is the time until a suspect is judged again, in seconds; the default is the settle window. A cache that
    may keep answering with the old value needs a longer time.

    `clocks` names the roles whose times are compared. By default they are inferred from the relations that are read.

    `empty_holds` means that an empty relation is the wanted state, for example leftovers that must expire. Otherwise an
    empty relation is not applicable.

    `remembers` is for a source that cannot be read again, such as a queue that reading empties. A finding then stays one in
    later runs until `verifier baseline --only ID` accepts it, or until `settled` says that a later reading proves it settled.

    `any_values`: the judge takes values as they are, also those that are not of their column's type. Otherwise a record with such
    a value is counted and not judged, and the proof is inconclusive.

    `chosen_by` names the column by which `applies` selects, where it must select some: if the relation has records and none
    of them is selected, the column is probably mapped wrongly, and the proof is inconclusive.

    `unit` names what the coverage counts. `statement` adds a remark to the coverage, and `unseen` lists what the technique
    cannot see.
    """

    subject: Rows
    applies: Callable[[Row], bool] | None = None
    unit: str = "rows"
    statement: str = ""
    sample: int | None = None
    second_pass_s: float | None = None
    clocks: tuple[str, ...] | None = None
    empty_holds: bool = False
    chosen_by: str = ""
    unseen: tuple[str, ...] = ()
    any_values: bool = False
    remembers: bool = False
    settled: Settled | None = None

    @property
    def takes_baseline(self) -> bool:
        """Whether a baseline is taken for this proof: with `remembers`, it accepts the open findings."""
        return self.remembers

    @property
    def partners(self) -> Partners | None:
        """Where partners are looked up; None if each record is judged alone."""
        return None

    @property
    def compared(self) -> tuple[Rows, ...]:
        """The subject and the relations it is compared with, without the further ones of `also` and `then`."""
        return (self.subject, *(rows for rows, _ in self.partners.homes)) if self.partners else (self.subject,)

    @property
    def relations_read(self) -> tuple[Rows, ...]:
        """All relations that the proof reads, the subject first."""
        further = (*self.partners.also, *self.partners.then) if self.partners else ()
        return (*self.compared, *(rows for _, rows, _ in further))

    def problem_of(self, row: Row, partners: Sequence[Row]) -> Problem | None:
        """What is wrong with a record and its partners, or None."""
        raise NotImplementedError
