"""The store behind role `openim`. Its sources are built-in relations; see `verifier.stores.builtin.table`."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.guard import READ_ROUTES
from verifier.stores.protocols import Privilege, StoreObject


class OpenIMStore(OpenIMClient):
    """OpenIM, as the pool uses it."""

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """OpenIM has no inventory. Always raises ValueError."""
        raise ValueError(f"{self.label} has no list of {kind}")

    async def privileges(self) -> Sequence[Privilege]:
        """An administrator's token can always write; the route list decides what is sent."""
        return [
            Privilege(
                self.label,
                "admin token",
                "guarded",
                f"can write; the verifier can only reach {len(READ_ROUTES)} routes that read",
            )
        ]
