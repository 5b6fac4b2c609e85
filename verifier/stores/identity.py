"""The virtual column `openim_user_id` of relation `users`, computed by the profile's identity rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.profile.identity import Identity
from verifier.stores.derived import Derived, Ordered
from verifier.stores.protocols import OrderedSource, Source

OPENIM_USER_ID = "openim_user_id"


def with_openim_id(inner: Source, identity: Identity) -> Source:
    """`inner` with column `openim_user_id`, computed from its column `user_id`; ordered if `inner` is."""
    made = OrderedIdentitySource(inner) if isinstance(inner, OrderedSource) else IdentitySource(inner)
    made.identity = identity
    return made


class IdentitySource(Derived):
    """A source of users with the virtual column `openim_user_id`."""

    identity: Identity

    def complete(self, row: Row) -> Row:
        """The record with the column. A user without an id has none there either."""
        user_id = row["user_id"]
        return {**row, OPENIM_USER_ID: None if user_id is None else self.identity.to_openim(user_id)}

    def asked(self, column: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The virtual column is mapped back to `user_id`."""
        if column != OPENIM_USER_ID:
            return column, values
        return "user_id", [form for value in values for form in self._platform_forms(str(value))]

    def has(self, row: Row, column: str, wanted: frozenset[str]) -> bool:
        """An OpenIM id is compared as OpenIM does: `ab` and `AB` are two users, although they may be one UUID."""
        return column != OPENIM_USER_ID or row[OPENIM_USER_ID] in wanted

    def unanswered(self, column: str, values: Sequence[Any]) -> Sequence[Any]:
        """Platform ids back to OpenIM's."""
        return [self.identity.to_openim(value) for value in values] if column == OPENIM_USER_ID else values

    def _platform_forms(self, openim_id: str) -> list[str]:
        """The platform ids that become this OpenIM id. A UUID without its dashes may have been written in capitals, or
        without dashes in the first place."""
        back = self.identity.from_openim(openim_id)
        if back is None:
            return []
        forms = [back]
        if self.identity.kind == "strip_dashes" and back != openim_id:
            forms += [openim_id] if openim_id == openim_id.lower() else [back.upper(), openim_id]
        return [form for form in dict.fromkeys(forms) if self.identity.to_openim(form) == openim_id]


class OrderedIdentitySource(Ordered, IdentitySource):
    """The same over an ordered source."""
