"""What a stack declares of its OpenIM: settings that its configuration must have, webhooks that it relies on, what was imported."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Webhooks(BaseModel):
    """`[webhooks]`: which of OpenIM's webhooks the stack relies on, for the canary's messages (WHK-01)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: tuple[str, ...] = Field(
        default=(), description="commands that each message causes, e.g. `callbackAfterSendSingleMsgCommand`"
    )
    after_rate: float = Field(
        default=0.9, ge=0, le=1, description="hooks after an event may be lost: this part of them must arrive"
    )
    failure: Literal["refuse", "continue"] | None = Field(
        default=None, description="what happens to a message whose before-hook cannot be reached"
    )


class Imports(BaseModel):
    """`[imports]`: how what came from the legacy stores is recognised in OpenIM; OpenIM itself knows no duplicates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group_marker: str | None = Field(
        default=None, description="field of a group's `ex` (JSON) that names its legacy group (GRP-06)"
    )
    message_marker: str | None = Field(
        default=None, description="field of an imported message's `ex` (JSON) that names the legacy message (MSG-08)"
    )
    text: str = Field(
        default="text",
        description="where in the legacy `content` a text message has its text (MSG-06); other kinds are left out",
    )
    retention_days: float | None = Field(
        default=None,
        ge=0,
        description="OpenIM's retainChatRecords, 0 where it is off; where not set, what openim_config declares, else OpenIM's own 365",
    )
    sample: int = Field(default=50, ge=1, description="how many moved conversations are compared in one run (MSG-06)")


class OpenIMConfig(BaseModel):
    """`[openim_config]`: what OpenIM's configuration must say.

    `expected` names files as OpenIM does and in them settings as paths, as its YAML files write them; upper and lower case do not
    matter: `expected."share.yml" = { "multiLogin.policy" = 1 }`. A secret is declared by its hash: `"secret" = "sha256:…"`.
    `files` names files that the verifier can read itself (a mounted volume), with the SHA-256 of their bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    expected: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="OpenIM's file name, then path and value of each setting (CFG-01)"
    )
    files: dict[str, str] = Field(default_factory=dict, description="path and SHA-256 in hex of files here (CFG-01)")

    @field_validator("files")
    @classmethod
    def _hashes(cls, value: dict[str, str]) -> dict[str, str]:
        for path, digest in value.items():
            if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
                raise ValueError(f"{path}: {digest!r} is no SHA-256 in hex: 64 characters, as `sha256sum` prints them")
        return value

    def declared(self, file: str, path: str) -> Any:
        """The value that a setting must have; None where it is not declared."""
        named = {key.lower(): value for key, value in self.expected.get(file, {}).items()}
        return named.get(path.lower())
