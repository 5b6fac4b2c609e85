"""The store behind role `openim`: its sources and privileges."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.guard import READ_ROUTES
from verifier.stores.protocols import Privilege, StoreObject


class OpenIMStore(OpenIMClient):
    """OpenIM, as the pool uses it."""

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """OpenIM has no inventory that a check needs."""
        raise ValueError(f"{self.label} lists nothing, not even {kind}")

    async def privileges(self) -> Sequence[Privilege]:
        """An admin token can always write; what it is used for is decided by the route list."""
        return [
            Privilege(
                self.label,
                "admin token",
                "guarded",
                f"can write; the verifier can reach {len(READ_ROUTES)} reading routes only",
            )
        ]
