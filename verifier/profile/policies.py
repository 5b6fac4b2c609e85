"""What a stack decides about its move: scope, imTokens, and the questions that data-ownership.md leaves open."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from verifier.model.platforms import PLATFORMS, platform_number
from verifier.profile.section import Section


class ScopeRule(Section):
    """`[scope]`: which conversations and groups are OpenIM's, and since when.

    A legacy record breaks an invariant only if its conversation is in scope and it was written after the move.
    """

    kind: Literal["relation", "all"] = Field(
        default="relation",
        description="`relation`: the conversations that relation `scope` lists, each since its own time. From phase "
        "`frozen` on also every conversation that is neither there nor in relation `neighbours`, if that one is mapped. "
        "`all`: every conversation that is not in relation `neighbours`, since the phase began",
        examples=["all"],
    )
    mixed: Literal["all_members", "any_member"] | None = Field(
        default=None,
        description="When a conversation of migrated and legacy users moves: when all of its members have moved, or the "
        "first. Needed in phase `cutover` if relation `cohorts` is mapped; CNV-07 compares the scope with it",
        examples=["all_members"],
    )


class TokenPolicy(Section):
    """`[token]`: how the platform issues and delivers imTokens."""

    key_id: Literal["platform", "openim"] = Field(
        default="platform",
        description="Which user id is in the key of an imToken: the platform's (column `user_id` of relation "
        "`im_tokens`) or OpenIM's (column `openim_user_id`). Read by TOK-01 to TOK-05, TOK-08 and USR-07",
        examples=["openim"],
    )
    delivery: Literal["proxy", "login_response"] = Field(
        default="proxy",
        description="How a client gets to OpenIM (GW-01). `proxy`: the gateway adds the imToken and never shows it. "
        "`login_response`: the client receives it with its login",
        examples=["login_response"],
    )
    per: Literal["user", "platform"] = Field(
        default="user",
        description="One imToken for each user, or one for each of a user's platforms. It must fit OpenIM's "
        "`multiLogin.policy`. With `platform`, column `platform` of relation `im_tokens` is the platform in the key, and a "
        "token must be of that platform (TOK-02)",
        examples=["platform"],
    )
    platforms: dict[str, int] = Field(
        default_factory=dict,
        description="What column `platform` of `sessions` and `im_tokens` holds, to OpenIM's number of the platform. Its numbers "
        "and its names (`iOS`, `Android`, `Web` …) are known without an entry (TOK-02)",
        examples=[{"iphone": 1, "browser": 5}],
    )
    further_platforms: tuple[int, ...] = Field(
        default=(),
        description="Platform numbers that this OpenIM accepts beside those of the protocol, 1 to 9 and 11 (TOK-02)",
        examples=[[12]],
    )
    second_device: Literal["kept", "ends_first"] = Field(
        default="kept",
        description="What a login on a second platform does to the first session (TOK-07)",
        examples=["ends_first"],
    )

    def platform_of(self, value: object) -> int | None:
        """OpenIM's number of a platform as the stack stores it; None if it names none of the known platforms."""
        number = platform_number(value, self.platforms)
        return number if number in self.known_platforms else None

    @property
    def known_platforms(self) -> frozenset[int]:
        """The numbers of all platforms on which users can be."""
        return frozenset(PLATFORMS) | frozenset(self.further_platforms)


class Policies(Section):
    """`[policies]`: how this stack answers the questions that data-ownership.md leaves open.

    If a policy is not set, its default holds and the report says so.
    """

    message_reads: Literal["frozen", "kept"] = Field(
        default="frozen",
        description="Whether read positions and mentions of moved conversations stay in our tables. `kept`: CNV-04 does "
        "not apply",
        examples=["kept"],
    )
    group_invites: Literal["kept", "openim"] = Field(
        default="kept",
        description="Who owns the invite codes of groups. `openim`: GRP-07 does not apply",
        examples=["openim"],
    )
    history_import: Literal["none", "imported"] = Field(
        default="none",
        description="Whether the legacy history was imported into OpenIM. `imported`: MSG-06 and MSG-07 apply",
        examples=["imported"],
    )
    friends: Literal["ours", "mirrored"] = Field(
        default="ours",
        description="Whether friends are mirrored into OpenIM. `mirrored`: KEEP-03 applies",
        examples=["mirrored"],
    )
    conversation_flags: Literal["ours", "openim"] = Field(
        default="ours",
        description="Who owns flags such as pinned (CNV-05)",
        examples=["openim"],
    )
    conversations_layer: tuple[str, ...] = Field(
        default=(),
        description="Columns of table `conversations` that may still change after the move: a thin layer for the user "
        "interface (CNV-02)",
        examples=[["pinned", "archived"]],
    )
    chat_queue: Literal["remove", "repurpose"] = Field(
        default="remove",
        description="What becomes of the chat queue. `repurpose`: it stays under another use, and MQ-01 to MQ-03 do not "
        "apply",
        examples=["repurpose"],
    )
    push_types: tuple[str, ...] = Field(
        default=("otp", "alert"),
        description="Values of the field `type` that the push queue may carry after the move (MQ-04)",
        examples=[["otp", "alert", "marketing"]],
    )
    chat_push_fields: tuple[str, ...] = Field(
        default=("conversation_id", "message_id", "seq", "sender_id"),
        description="Fields that mark a push as one about a chat message (MQ-04). They are found at any depth, also in JSON texts "
        "and message headers, and without regard to case and separators: `conversationId` is `conversation_id`. `thread.id` means "
        "a field `id` in an object `thread`",
        examples=[["thread.id", "letter_no"]],
    )
    push_provider_objects: tuple[str, ...] = Field(
        default=("provider", "mail", "email", "smtp", "ses", "sms", "vendor", "transport"),
        description="Words in the names of objects within a push that belong to a provider of mails or text messages, whose own "
        "`message_id` is not a chat message's. A single field of `chat_push_fields` in such an object does not count; two do "
        "(MQ-04)",
        examples=[["provider", "carrier"]],
    )
