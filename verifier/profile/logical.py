"""The logical relations that the shipped checks use, and what each of their columns means.

Nothing here is code that runs in a check: it is the reference of docs/profile.md. A test compares it with what the checks read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LogicalColumn:
    """A column: what it holds, and what NULL means in it ("" if it must not be NULL)."""

    meaning: str
    null: str = ""


@dataclass(frozen=True, kw_only=True)
class LogicalRelation:
    """A relation: what its records are, and its columns by name."""

    meaning: str
    columns: dict[str, LogicalColumn]


def _column(meaning: str, null: str = "") -> LogicalColumn:
    return LogicalColumn(meaning=meaning, null=null)


_CONVERSATION = _column("the legacy id of the conversation")
_USER = _column("the platform's id of the user")
_NEVER = 'it never ends, unless `empty_means = "expired"`'
_TTL = _column("`@ttl_ms`: time until the key expires, in ms", "the key never expires")

RELATIONS: dict[str, LogicalRelation] = {
    "scope": LogicalRelation(
        meaning='The conversations and groups that have moved. Needed from phase `cutover` on, unless `scope.kind = "all"`.',
        columns={
            "conversation_id": _CONVERSATION,
            "openim_id": _column("OpenIM's id of the conversation", "not known"),
            "group_id": _column("the legacy id of its group", "a conversation of two"),
            "openim_group_id": _column("OpenIM's id of that group", "a conversation of two"),
            "since": _column("when it moved"),
        },
    ),
    "neighbours": LogicalRelation(
        meaning="The conversations that stay legacy on purpose, such as support chats.",
        columns={
            "conversation_id": _CONVERSATION,
            "group_id": _column("the legacy id of its group", "a conversation of two"),
        },
    ),
    "users": LogicalRelation(
        meaning="The users of the platform.",
        columns={
            "user_id": _USER,
            "openim_user_id": _column('the user\'s OpenIM id; map it for `identity.kind = "column"` only', "none yet"),
            "nickname": _column("the name that others see", "none"),
            "face_url": _column("the picture that others see", "none"),
            "phone": _column("phone number; mark it `sensitive`", "none"),
            "email": _column("email address; mark it `sensitive`", "none"),
            "active": _column("whether the user is neither deleted nor banned", "not active"),
            "created_at": _column("when the user signed up", "not known"),
            "last_login_at": _column("time of the last login", "never logged in"),
        },
    ),
    "sessions": LogicalRelation(
        meaning="The sessions that were not revoked.",
        columns={
            "session_id": _column("id of the session; mark it `sensitive`"),
            "user_id": _USER,
            "platform": _column("OpenIM's number of the platform", "not known"),
            "created_at": _column("time of the login", "not known"),
            "expires_at": _column("when the session ends; without such a column, set `lifetime_s`", _NEVER),
        },
    ),
    "devices": LogicalRelation(
        meaning="The devices of users. KEEP-02 judges the schema.",
        columns={
            "device_id": _column("id of the device"),
            "user_id": _USER,
            "push_token": _column("token of the push service; mark it `sensitive`", "none"),
        },
    ),
    "profiles": LogicalRelation(
        meaning="What users say of themselves. KEEP-02 judges the schema.",
        columns={"user_id": _USER, "bio": _column("free text", "none")},
    ),
    "friends": LogicalRelation(
        meaning="Friendships, one row for each direction. KEEP-02 judges the schema.",
        columns={
            "user_id": _USER,
            "friend_id": _column("the platform's id of the friend"),
            "created_at": _column("when it began", "not known"),
        },
    ),
    "link_requests": LogicalRelation(
        meaning="Requests for friendship. KEEP-02 judges the schema.",
        columns={"request_id": _column("id of the request"), "created_at": _column("when it was made", "not known")},
    ),
    "admin_users": LogicalRelation(
        meaning="Administrators of the platform. KEEP-02 judges the schema.",
        columns={"admin_id": _column("id of the administrator")},
    ),
    "conversations": LogicalRelation(
        meaning="The legacy conversations.",
        columns={
            "conversation_id": _CONVERSATION,
            "created_at": _column("when it began", "not known"),
            "last_message_at": _column("time of the last message, which orders the list", "no message yet"),
            "updated_at": _column("read instead of `last_message_at` if that is not mapped", "not known"),
        },
    ),
    "conversation_sequences": LogicalRelation(
        meaning="The legacy counters of messages.",
        columns={
            "conversation_id": _CONVERSATION,
            "created_at": _column("when the row was written", "not known"),
            "last_message_at": _column("read instead of `updated_at` if mapped", "not known"),
            "updated_at": _column("when the counter last moved", "not known"),
        },
    ),
    "chat_groups": LogicalRelation(
        meaning="The legacy groups.",
        columns={
            "group_id": _column("the legacy id of the group"),
            "created_at": _column("when it was founded", "not known"),
            "updated_at": _column("when the row last changed", "not known"),
        },
    ),
    "group_members": LogicalRelation(
        meaning="The members of the legacy groups.",
        columns={
            "group_id": _column("the legacy id of the group"),
            "user_id": _USER,
            "joined_at": _column("when the user joined", "before the move"),
            "updated_at": _column("when the row last changed", "not known"),
        },
    ),
    "message_reads": LogicalRelation(
        meaning="Read positions.",
        columns={
            "conversation_id": _CONVERSATION,
            "user_id": _USER,
            "read_at": _column("when the position last moved", "not known"),
        },
    ),
    "mentions": LogicalRelation(
        meaning="Mentions of users in messages.",
        columns={
            "mention_id": _column("id of the mention"),
            "conversation_id": _CONVERSATION,
            "created_at": _column("when it was made", "not known"),
        },
    ),
    "messages": LogicalRelation(
        meaning="The legacy messages.",
        columns={
            "message_id": _column("id of the message"),
            "conversation_id": _CONVERSATION,
            "sender_id": _column("the platform's id of the sender", "a system message, not compared"),
            "content": _column("the content; `imports.text` is a path within it", "no text, not compared"),
            "created_at": _column("when it was sent", "not compared"),
        },
    ),
    "flags": LogicalRelation(
        meaning="Flags of users on conversations, kept by OpenIM's conversation id.",
        columns={
            "user_id": _USER,
            "openim_conversation_id": _column("OpenIM's id of the conversation"),
            "pinned": _column("whether it is pinned", "not pinned"),
            "updated_at": _column("when the row last changed", "not known"),
        },
    ),
    "group_extensions": LogicalRelation(
        meaning="What the platform keeps of a group beside OpenIM. Columns of type `json` are searched for group state.",
        columns={
            "openim_group_id": _column("OpenIM's id of the group", "a breach: it belongs to no group"),
            "legacy_group_id": _column("the legacy id", "a group founded in OpenIM"),
            "created_at": _column("when the row was written", "not known"),
        },
    ),
    "invites": LogicalRelation(
        meaning="Invite codes of groups.",
        columns={
            "code": _column("the code; mark it `sensitive`"),
            "openim_group_id": _column("OpenIM's id of the group", "the code leads to `legacy_group_id`"),
            "legacy_group_id": _column("the legacy id of the group", "a group founded in OpenIM"),
            "expires_at": _column("when the code ends", _NEVER),
        },
    ),
    "reports": LogicalRelation(
        meaning="What users reported to moderators.",
        columns={
            "report_id": _column("id of the report"),
            "kind": _column("`user`, `group` or `message`", "not judged"),
            "target_id": _column("id of what was reported", "a breach, unless archived or with a snapshot"),
            "conversation_ref": _column("the conversation of a message", "none"),
            "archived": _column("whether the report is closed for good", "not archived"),
            "snapshot": _column("a copy of what was reported", "no snapshot"),
            "created_at": _column("when it was made", "not judged"),
        },
    ),
    "audit": LogicalRelation(
        meaning="What administrators did.",
        columns={
            "entry_id": _column("id of the entry"),
            "action": _column("what was done", "not known"),
            "target": _column("to what", "none"),
            "created_at": _column("when it was done", "not known"),
        },
    ),
    "media": LogicalRelation(
        meaning="The catalogue of media.",
        columns={
            "media_id": _column("id of the entry"),
            "url": _column("where the file is", "cannot be fetched"),
            "created_at": _column("when it was uploaded", "not judged"),
        },
    ),
    "im_tokens": LogicalRelation(
        meaning="The imTokens in Redis.",
        columns={
            "user_id": _column('the user of the key, for `token.key_id = "platform"`'),
            "openim_user_id": _column('the OpenIM user of the key, for `token.key_id = "openim"`'),
            "token": _column("the token, `@token`; mark it `sensitive`", "a breach: not a token"),
            "ttl_ms": _TTL,
        },
    ),
    "im_token_misspellings": LogicalRelation(
        meaning="Keys that resemble imToken keys, by a wider pattern. Those of relation `im_tokens` are left out.",
        columns={"key": _column("the key, `@key`")},
    ),
    "session_cache": LogicalRelation(
        meaning="The sessions in Redis.",
        columns={
            "session_id": _column("id of the session; mark it `sensitive`"),
            "user_id": _column("the platform's id of the user", "not known"),
            "ttl_ms": _TTL,
        },
    ),
    "nonces": LogicalRelation(
        meaning="The HMAC nonces in Redis, which prevent replay.",
        columns={"nonce": _column("the nonce"), "ttl_ms": _TTL},
    ),
    "presence": LogicalRelation(
        meaning="The platform's own presence: keys, or records such as sessions that also say who is online.",
        columns={
            "user_id": _USER,
            "online": _column(
                "whether the record says that the user is online, such as `status = 'online'`, or a list of connections that is not "
                "empty; type `boolean`",
                "not online",
            ),
            "ttl_ms": _TTL,
            "idle_s": _column("`@idle_s`: time since the key was last used, in s", "not known"),
        },
    ),
}

CHANNELS = ("chat_notification",)
"""The channels that the shipped checks use, by their names in the profile."""

QUEUES = ("chat_message_notify", "notification_push", "push_tap")
"""The queues that the shipped checks use, by their names in the profile."""
