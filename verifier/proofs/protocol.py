"""The interface of a proof: what the engine runs and `verifier explain` describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from verifier.model.query import Rows
from verifier.model.verdict import Judgement
from verifier.profile.models import Profile
from verifier.proofs.context import Context
from verifier.stores.builtin.table import role_of
from verifier.stores.pool import Stores


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What `verifier explain` prints of a proof.

    `queries` are the statements and requests that the proof sends. `role` is the
    role of the profile whose privileges it needs, "" if it needs none. `unseen` lists what the technique cannot see.
    """

    queries: tuple[str, ...] = ()
    role: str = ""
    unseen: tuple[str, ...] = ()


class Proof(Protocol):
    """A question to the stores, as data. A check returns one or more of them; the engine carries them out."""

    @property
    def technique(self) -> str:
        """The kind of proof and how it works, in one sentence."""

    @property
    def takes_baseline(self) -> bool:
        """Whether `verifier baseline` carries this proof out."""

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out. Raises StoreError if a store cannot answer, NotMapped if the profile lacks a name."""

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """Describe the proof for this stack. Raises StoreError and NotMapped like `execute`."""


async def describe_reading(
    relations: Sequence[Rows], unseen: tuple[str, ...], profile: Profile, stores: Stores
) -> Description:
    """The description of a proof that reads `relations`; the first one decides which role's privileges it needs."""
    sources = [await stores.source(rows) for rows in relations]
    return Description(
        queries=tuple(query for source in sources for query in source.queries),
        role=role_of(relations[0].relation, profile) or "",
        unseen=unseen,
    )
