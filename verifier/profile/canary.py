"""`[canary]`: the reserved users that write, and the journal that they leave."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from verifier.profile.section import Section


class Canary(Section):
    """`[canary]`: the journal of `python -m suites.canary`, and how old it may be.

    Without this section, the checks that need a journal do not apply.
    """

    journal: str = Field(
        description="The journal file, or a directory whose newest journal is read. A relative path starts at the profile",
        examples=["canary.jsonl"],
    )
    max_age_s: float = Field(
        default=86_400,
        gt=0,
        description="How old the journal may be. Checks that need a newer one are inconclusive",
        examples=[7200],
    )
    durable_after_s: float = Field(
        default=86_400,
        ge=0,
        description="How long OpenIM may answer from its cache [F65]. MSG-05 looks in OpenIM's store for messages that "
        "are older",
        examples=[86_400],
    )
    lag_max_s: float = Field(
        default=5,
        gt=0,
        description="How long an acknowledged message may usually take until it is pushed (LAG-01)",
        examples=[2],
    )
    adapter: str | None = Field(
        default=None,
        description="The class that acts on this platform: `package.module:Factory`, or the name of an entry point of "
        "the group `openim_ssot.adapters`",
        examples=["acme_canary.adapter:AcmePlatform"],
    )
    users: tuple[str, ...] = Field(
        default=(),
        description="The reserved users, as the adapter names them. The canary needs at least two",
        examples=[["+10000000001", "+10000000002"]],
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="What the adapter reads; its documentation lists the keys",
        examples=[{"im_websocket": "/im/ws"}],
    )
