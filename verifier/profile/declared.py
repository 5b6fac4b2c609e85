"""What a stack declares of its OpenIM: settings that its configuration must have, webhooks that it relies on."""

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
