"""The allow-list for OpenIM's REST API.

OpenIM has no read-only credential: an administrator's token can always write. This list is the only guard.
"""

from __future__ import annotations

READ_ROUTES = frozenset(
    f"/{route}"
    for route in """
    auth/get_admin_token auth/parse_token
    user/account_check user/get_users_info user/get_users user/get_users_online_status
    group/get_groups_info group/get_groups group/get_group_member_user_id group/get_full_group_member_user_ids
    group/get_group_abstract_info group/get_group_member_list group/get_group_members_info group/get_full_join_group_ids
    conversation/get_full_conversation_ids conversation/get_owner_conversation conversation/get_all_conversations
    friend/get_full_friend_user_ids
    msg/search_msg msg/get_server_time
    config/get_config msg/pull_msg_by_seq msg/get_conversations_has_read_and_max_seq
    """.split()
)
"""`pull_msg_by_seq` and `get_conversations_has_read_and_max_seq` fill OpenIM's caches [F92], so only relation
`openim.canary_messages` uses them, for messages of canaries."""


def is_read_request(method: str, path: str) -> bool:
    """Whether a request only reads."""
    return method == "POST" and path in READ_ROUTES
