"""The object that an absence proof watches, and which writes to it count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from verifier.profile.models import Profile
from verifier.profile.relations import Channel, Queue, Relation
from verifier.proofs.scope import Kind

Target = Literal["relation", "channel", "queue"]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """An object of the profile and the writes to it that count.

    `target` is its name in the profile and `kind` the section: relation, channel or queue. `operations` are the writes that
    count: insert, update, delete, publish and others that the store's observer reports.

    `scoped_by` names the column with the conversation (or group) of a record; without it every write counts. `inserted_at`
    and `updated_at` are the record's own time columns, which prove a write without a baseline. With `thin_layer`, other
    columns of the object may still change, so an update counts only if it shows in `updated_at`.

    `noun` names one record in messages, `next_step` says what to do about a finding, and `statement` adds a remark to the
    coverage.

    `state` names a boolean column that says whether a record is what the check is about, such as `online`: a write counts only if it
    leaves a record in which it is true, and an update only if it changed this column. `doubtful` are operations that may or may not
    be a breach, because nothing says what they did: they make the check inconclusive, with `doubt` as the reason.
    """

    target: str
    kind: Target = "relation"
    operations: frozenset[str] = frozenset({"insert"})
    scoped_by: tuple[Kind, str] | None = None
    inserted_at: str | None = None
    updated_at: str | None = None
    expect: Literal["silence", "activity"] = "silence"
    noun: str = "row"
    next_step: str = ""
    statement: str = ""
    thin_layer: bool = False
    state: str | None = None
    doubtful: frozenset[str] = frozenset()
    doubt: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The logical columns that the verdict needs."""
        names = (self.scoped_by[1] if self.scoped_by else None, self.inserted_at, self.updated_at, self.state)
        return tuple(name for name in names if name)

    @property
    def sorts(self) -> bool:
        """Whether inserts and updates must be told apart, because only one of them counts."""
        return len(self.operations & {"insert", "update"}) == 1 or bool(self.doubtful)

    def watched_in(self, profile: Profile) -> tuple[str, ...]:
        """The columns whose change makes an update count; empty: every update counts."""
        if self.kind != "relation":
            return ()
        relation = profile.relation(self.target)
        return (self.state,) if self.state else relation.watched

    def object_in(self, profile: Profile) -> Relation | Channel | Queue:
        """The object's entry in the profile. Raises NotMapped if there is none."""
        match self.kind:
            case "relation":
                return profile.relation(self.target)
            case "channel":
                return profile.channel(self.target)
            case "queue":
                return profile.queue(self.target)

    def homes_in(self, profile: Profile) -> tuple[str, ...]:
        """The target, or each of its homes."""
        return profile.homes(self.target) if self.kind == "relation" else (self.target,)

    def shared_in(self, profile: Profile) -> bool:
        """Whether declared neighbours write to the object too, or it has records that its `where` leaves out."""
        found = self.object_in(profile)
        if isinstance(found, Relation) and found.where:
            return True
        return found.neighbours is not None and not (isinstance(found, Channel) and found.only_channel)
