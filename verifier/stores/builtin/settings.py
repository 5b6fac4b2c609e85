"""Relation `verifier.settings`: what the profile declares of OpenIM that a check may judge. Values themselves never leave it."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from verifier.model.invariant import Row
from verifier.profile.models import Profile

DEFAULT_SECRET = "openIM123"  # noqa: S105 - the one that everybody knows: it ships in OpenIM's config/share.yml


class SettingsSource:
    """One row for each setting: its name, and whether it is still the one that OpenIM ships with."""

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
        """All of them."""
        yield self._rows

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """Some of them."""
        return [row for row in self._rows if row[column] in values]
