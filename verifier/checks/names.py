"""Names of a profile that no check reads: a misspelt relation would otherwise switch its checks off without a word."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from verifier.checks.registry import NotApplicable, Registry
from verifier.model.query import Rows
from verifier.profile.errors import NotMapped, ProfileError
from verifier.profile.logical import CHANNELS, QUEUES, RELATIONS
from verifier.profile.models import Profile
from verifier.profile.relations import Channel, Queue, Relation
from verifier.proofs import Absence

SEARCHED_RELATIONS = frozenset({"group_extensions"})
"""Relations of which a check reads every column of type `json` (GRP-02)."""

_SCOPE = {"conversation": ("conversation_id", "since"), "group": ("group_id", "since")}


class Asked(Profile):
    """A profile that notes which names a check asks it for."""

    def note(self, relation: str, columns: Iterable[str]) -> None:
        """Note a relation and columns of it."""
        self.names.setdefault(f"relations.{relation}", set()).update(columns)

    @property
    def names(self) -> dict[str, set[str]]:
        """What was asked for, as `relations.users`, `channels.…` or `queues.…`, with the columns of relations."""
        found: dict[str, set[str]] = self.__dict__.setdefault("asked_names", {})
        return found

    def relation(self, name: str, *columns: str) -> Relation:
        """See `Profile.relation`."""
        self.note(name, columns)
        return super().relation(name, *columns)

    def has(self, relation: str, *columns: str) -> bool:
        """See `Profile.has`."""
        self.note(relation, columns)
        return super().has(relation, *columns)

    def channel(self, name: str) -> Channel:
        """See `Profile.channel`."""
        self.names.setdefault(f"channels.{name}", set())
        return super().channel(name)

    def queue(self, name: str) -> Queue:
        """See `Profile.queue`."""
        self.names.setdefault(f"queues.{name}", set())
        return super().queue(name)


def require_read_names(profile: Profile, registry: Registry) -> None:
    """Raise ProfileError unless every relation, column, channel and queue of the profile is one that a check may read.

    The names of the shipped checks are those of `verifier.profile.logical`. Own checks (`X-…`) are asked for the names that they
    use. If one of them does not apply to the profile, its names are unknown, and only names that resemble a known one are
    refused.
    """
    own, sure = _own_names(profile, registry)
    faults = [
        *_unknown("relations", profile.relations, RELATIONS, own, sure=sure, profile=profile),
        *_unknown("channels", profile.channels, CHANNELS, own, sure=sure),
        *_unknown("queues", profile.queues, QUEUES, own, sure=sure),
        *_columns(profile, own, sure=sure),
    ]
    if faults:
        raise ProfileError("the profile has names that no check reads:\n" + "\n".join(f"  {fault}" for fault in faults))


def _own_names(profile: Profile, registry: Registry) -> tuple[dict[str, set[str]], bool]:
    """The names that own checks use, and whether all of them could be asked."""
    asked = Asked.model_construct(**{name: getattr(profile, name) for name in type(profile).model_fields})
    sure = True
    for check in registry:
        if not check.id.startswith("X-"):
            continue
        try:
            for proof in check.proofs(asked):
                for relation, columns in relations_read(proof):
                    asked.note(relation, columns)
        except (NotMapped, NotApplicable):
            sure = False
    return asked.names, sure


def relations_read(value: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The relations and columns that a proof names, at any depth."""
    if isinstance(value, Rows):
        yield value.relation, (*value.columns, *(where.column for where in value.where))
    elif isinstance(value, Absence):
        yield value.target, value.columns
        if value.scoped_by is not None:
            yield "scope", _SCOPE[value.scoped_by[0]]
            yield "neighbours", _SCOPE[value.scoped_by[0]][:1]
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from relations_read(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from relations_read(item)


def _unknown(
    table: str,
    given: Iterable[str],
    known: Iterable[str],
    own: dict[str, set[str]],
    *,
    sure: bool,
    profile: Profile | None = None,
) -> Iterator[str]:
    names = [*known, *(name.removeprefix(f"{table}.") for name in own if name.startswith(f"{table}."))]
    for name in given:
        if name in names or (profile is not None and profile.relations[name].searched_for_tokens):
            continue
        close = difflib.get_close_matches(name, names, n=1) or [item for item in names if name in item.split("_")][:1]
        if close or sure:
            yield f"{table}.{name}: no check reads a {table[:-1]} of this name." + _hint(close, names)


def _columns(profile: Profile, own: dict[str, set[str]], *, sure: bool) -> Iterator[str]:
    for name, relation in profile.relations.items():
        if name not in RELATIONS or relation.searched_for_tokens:
            continue
        names = [*RELATIONS[name].columns, *own.get(f"relations.{name}", ())]
        free = {
            *relation.key,
            *relation.watched,
            *(profile.policies.conversations_layer if name == "conversations" else ()),
        }
        for column, mapped in (item for place in relation.places for item in place.columns.items()):
            if column in names or column in free or (name in SEARCHED_RELATIONS and mapped.type == "json"):
                continue
            close = difflib.get_close_matches(column, names, n=1)
            if close or sure:
                yield f"relations.{name}.columns.{column}: no check reads a column of this name." + _hint(close, names)


def _hint(close: list[str], names: Iterable[str]) -> str:
    return f" Did you mean {close[0]!r}?" if close else f" Known here: {', '.join(sorted(set(names)))}."
