"""The base class of the profile's sections."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the profile: immutable, and an unknown key in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
