"""What a check declares to prove that an object is not written to, or that it still is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from verifier.model.verdict import Judgement
from verifier.profile.models import Profile
from verifier.proofs.absence.observe import Observation
from verifier.proofs.absence.watched import Watched
from verifier.proofs.context import Context
from verifier.proofs.protocol import Description
from verifier.stores.pool import Stores


@dataclass(frozen=True, kw_only=True)
class Absence(Watched):
    """Prove that nothing was written to an object; with `expect="activity"`, that something was.

    The rules of the verdict:

    - A witness in scope that was written after its conversation moved is a breach.
    - Without continuity, nothing is known of the time since the last run.
    - With continuity, the counters of an object that only the platform writes to must not have moved. On a shared object
      the counters prove nothing, and the verdict rests on the witnesses.
    - A delete is a write. Counts that no record explains are a breach where nobody else writes, and otherwise inconclusive.
    - What could not be seen is part of the coverage.

    `Watched` describes the arguments.
    """

    technique: ClassVar[str] = "absence: counters, witnesses and continuity since the last run"
    takes_baseline: ClassVar[bool] = True

    async def execute(self, context: Context) -> Judgement:
        """Carry the proof out, in each home of a relation that has several."""
        homes = self.homes_in(context.profile)
        if len(homes) == 1:
            return await Observation(self, context).run()
        return Judgement.merge([await Observation(replace(self, target=home), context).run() for home in homes])

    async def describe(self, profile: Profile, stores: Stores) -> Description:
        """The queries of the observer."""
        queries: list[str] = []
        for home in self.homes_in(profile):
            observer = await stores.observer(self.kind, home, self.columns)
            observer.watched = self.watched_in(profile)
            queries += observer.queries
        return Description(
            queries=tuple(queries),
            role=self.object_in(profile).role,
        )
