"""What OpenIM has and its REST API does not show to a verifier that leaves no trace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.stores.errors import PartialAnswer
from verifier.stores.openim.client import OpenIMClient


class UnreadableSource:
    """Messages by conversation and seq. A pull fills OpenIM's caches [F92], so that only canaries' messages are pulled: every
    look-up stays unanswered."""

    def __init__(self, client: OpenIMClient, relation: str, key: tuple[str, ...]) -> None:
        self.key = key
        self.label = f"{relation} ({client.role}: REST)"

    @property
    def queries(self) -> tuple[str, ...]:
        """Nothing is requested."""
        return ()

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Nothing."""
        return
        yield ()

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """Raises PartialAnswer for every value."""
        unanswered = tuple(value for value in values if value is not None)
        if not unanswered:
            return []
        raise PartialAnswer(
            f"{self.label}: messages of users can be looked up in OpenIM's database only. Describe roles.openim_mongo in the profile.",
            rows=[],
            unanswered=unanswered,
        )
