"""What a stack declares of its OpenIM: settings that its configuration must have, webhooks that it relies on, what was imported."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from verifier.profile.section import Section


class Webhooks(Section):
    """`[webhooks]`: the webhooks of OpenIM that the stack relies on. WHK-01 judges them by the canary's messages."""

    enabled: tuple[str, ...] = Field(
        default=(),
        description="Webhook commands that each message causes",
        examples=[["callbackBeforeSendSingleMsgCommand", "callbackAfterSendSingleMsgCommand"]],
    )
    after_rate: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="The share of after-hooks that must arrive. OpenIM may lose some [F97]",
        examples=[0.99],
        json_schema_extra={"unit": "0 to 1"},
    )
    failure: Literal["refuse", "continue"] | None = Field(
        default=None,
        description="What OpenIM does with a message whose before-hook cannot be reached [F96]. Not judged if not set",
        examples=["refuse"],
    )


class Imports(Section):
    """`[imports]`: how objects that came from the legacy stores are recognised in OpenIM. OpenIM itself detects no duplicates."""

    group_marker: str | None = Field(
        default=None,
        description="The field of a group's `ex` (JSON) that holds the id of its legacy group (GRP-06)",
        examples=["legacy_group_id"],
    )
    message_marker: str | None = Field(
        default=None,
        description="The field of an imported message's `ex` (JSON) that holds the id of the legacy message (MSG-08)",
        examples=["legacy_message_id"],
    )
    text: str = Field(
        default="text",
        description="The path within the legacy `content` to the text of a text message, if it is a document. MSG-06 leaves out messages "
        "without it",
        examples=["body.text"],
    )
    retention_days: float | None = Field(
        default=None,
        ge=0,
        description="How long OpenIM keeps messages (`retainChatRecords`), 0 for ever. If not set, the value that "
        "`[openim_config]` declares, else OpenIM's default of 365 [F127] (MSG-06, MSG-07)",
        examples=[730],
    )
    sample: int = Field(
        default=50, ge=1, description="How many moved conversations are compared in one run (MSG-06)", examples=[200]
    )


class OpenIMConfig(Section):
    """`[openim_config]`: what OpenIM's configuration must say (CFG-01).

    Upper and lower case of files and settings do not matter. The value of a secret is given as its hash.
    """

    expected: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Name of OpenIM's YAML file, then path and value of each setting. A secret is `sha256:` and the "
        "SHA-256 of its value in hex",
        examples=[{"share.yml": {"multiLogin.policy": 1}}],
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        description="Path and SHA-256 in hex of files that the verifier can read itself, such as a mounted volume",
        examples=[{"/openim/config/share.yml": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
    )

    @field_validator("files")
    @classmethod
    def _hashes(cls, value: dict[str, str]) -> dict[str, str]:
        for path, digest in value.items():
            if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
                raise ValueError(
                    f"{path}: {digest!r} is not a SHA-256 in hex: 64 characters, as `sha256sum` prints them"
                )
        return value

    def declared(self, file: str, path: str) -> Any:
        """The value that a setting must have; None if it is not declared."""
        named = {key.lower(): value for key, value in self.expected.get(file, {}).items()}
        return named.get(path.lower())
