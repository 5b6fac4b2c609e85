"""How platform user ids and OpenIM user ids map onto each other, both ways.

OpenIM accepts only letters, digits and `_` in a user id [F33], so a platform whose ids are UUIDs has to map them. The
mapping must be injective (USR-03, USR-04).
"""

from __future__ import annotations

import re
import uuid
from typing import Literal

from pydantic import Field

from verifier.profile.section import Section

LEGAL_OPENIM_ID = re.compile(r"[A-Za-z0-9_]+\Z")


class Identity(Section):
    """`[identity]`: how a platform's user id becomes an OpenIM user id. OpenIM accepts letters, digits and `_` only [F33]."""

    kind: Literal["same", "strip_dashes", "prefix", "column"] = Field(
        default="same",
        description="`same`: unchanged. `strip_dashes`: without dashes, for UUIDs. `prefix`: with `prefix` in front. `column`: "
        "the platform stores the OpenIM id, in column `openim_user_id` of relation `users`",
        examples=["strip_dashes"],
    )
    prefix: str = Field(default="", description="Kind `prefix`: what is put in front", examples=["app_"])

    def to_openim(self, user_id: object) -> str:
        """The OpenIM id of a platform user."""
        text = str(user_id)
        match self.kind:
            case "strip_dashes":
                return text.replace("-", "")
            case "prefix":
                return self.prefix + text
            case _:
                return text

    def from_openim(self, openim_id: str) -> str | None:
        """The platform id of an OpenIM user, or None if no platform id maps to it."""
        match self.kind:
            case "strip_dashes":
                try:
                    return str(uuid.UUID(hex=openim_id)) if len(openim_id) == 32 else openim_id
                except ValueError:
                    return None
            case "prefix":
                return openim_id.removeprefix(self.prefix) if openim_id.startswith(self.prefix) else None
            case _:
                return openim_id

    def describe(self) -> str:
        """The mapping as a sentence for reports."""
        return {
            "same": "OpenIM user id = platform user id",
            "strip_dashes": "OpenIM user id = platform user id without dashes",
            "prefix": f"OpenIM user id = {self.prefix!r} + platform user id",
            "column": "OpenIM user id = column openim_user_id of relation users",
        }[self.kind]
