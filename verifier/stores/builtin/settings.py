"""Relation `verifier.settings`: settings of the profile that a check judges. It never returns their values."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from verifier.model.invariant import Row
from verifier.profile.models import Profile

DEFAULT_SECRET = "openIM123"  # noqa: S105 - the public default in OpenIM's config/share.yml


class SettingsSource:
    """One row per setting: its name, and whether it still has OpenIM's default."""

    label = "verifier.settings (this profile)"
    key: tuple[str, ...] = ("setting",)
    queries: ClassVar[tuple[str, ...]] = ()

    def __init__(self, profile: Profile) -> None:
        role = profile.roles.openim
        secret = role.secret.get_secret_value() if role and role.secret else None
        self._rows: list[Row] = []
        if secret is not None:
            is_default = hmac.compare_digest(secret.encode(), DEFAULT_SECRET.encode())
            self._rows.append({"setting": "share.secret", "is_default": is_default})

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All rows."""
        yield self._rows

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The rows with these values."""
        return [row for row in self._rows if row[column] in values]
