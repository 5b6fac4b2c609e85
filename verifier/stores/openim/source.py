"""OpenIM's REST API as built-in relations, named `openim.…`."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from verifier.model.invariant import Row
from verifier.stores.errors import PartialAnswer, StoreError
from verifier.stores.openim import lists, lookups
from verifier.stores.openim.answers import StrangeAnswer
from verifier.stores.openim.canaries import canary_message
from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.pages import PAGED, PagedReading
from verifier.stores.protocols import Completeness

MEMBERS = "openim.group_members"

_BATCHED: dict[str, lookups.Batched] = {
    "openim.accounts": lookups.accounts,
    "openim.users": lookups.users,
    "openim.groups": lookups.groups,
}
_SINGLE: dict[str, lookups.Single] = {
    "openim.tokens": lookups.tokens,
    "openim.conversation_ids": lists.conversation_ids,
    "openim.conversations": lists.conversations,
    "openim.friends": lists.friends,
    MEMBERS: lists.members,
    "openim.group_owners": lists.owners,
    "openim.joined_groups": lists.joined,
    "openim.canary_messages": canary_message,
}
_MEMBER_ROUTES = ("/group/get_full_group_member_user_ids", "/group/get_group_members_info")
_ROUTES: dict[str, tuple[str, ...]] = {
    "openim.accounts": ("/user/account_check",),
    "openim.users": ("/user/get_users_info", "/user/account_check", "/user/get_users"),
    "openim.groups": ("/group/get_groups_info", "/group/get_group_abstract_info", "/group/get_groups"),
    "openim.tokens": ("/auth/parse_token",),
    "openim.conversation_ids": ("/conversation/get_full_conversation_ids",),
    "openim.conversations": ("/conversation/get_all_conversations", "/conversation/get_full_conversation_ids"),
    "openim.friends": ("/friend/get_full_friend_user_ids",),
    MEMBERS: _MEMBER_ROUTES,
    "openim.group_owners": _MEMBER_ROUTES,
    "openim.joined_groups": ("/group/get_full_join_group_ids",),
    "openim.canary_messages": (
        "/msg/pull_msg_by_seq", "/msg/get_conversations_has_read_and_max_seq", "/conversation/get_full_conversation_ids",
    ),
}  # fmt: skip


class OpenIMSource:
    """One relation `openim.…` with the key that `verifier.stores.builtin.table` gives it."""

    def __init__(self, client: OpenIMClient, relation: str, key: tuple[str, ...]) -> None:
        self._client = client
        self.relation = relation
        self.label = f"{relation} ({client.role}: REST)"
        self.key = key
        self._reading: PagedReading | None = None
        self._of_others = 0

    @property
    def queries(self) -> tuple[str, ...]:
        """The routes that are requested."""
        return tuple(f"POST {route}" for route in _ROUTES[self.relation])

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """Users or groups, each once, or the members of one group after the other.

        Records of others, whose ids do not begin as `id_prefix` and `group_id_prefix` of the role say, are left out.
        """
        if self.relation != MEMBERS:
            async for rows in self._paged(self.relation):
                yield rows
            return
        async for groups in self._paged("openim.groups"):
            for group in groups:
                if group["status"] != lists.DISMISSED and (members := await self._members(str(group["group_id"]))):
                    yield members

    async def _members(self, group_id: str) -> list[Row]:
        try:
            return await lists.members(self._client, group_id)
        except StrangeAnswer as error:
            raise StoreError(f"{self.label}: the members of group {group_id} cannot be read whole: {error}.") from None

    async def _paged(self, relation: str) -> AsyncIterator[list[Row]]:
        config, route = self._client.config, PAGED[relation]
        prefix = config.id_prefix if relation == "openim.users" else config.prefix_of_groups
        self._reading, self._of_others = PagedReading(self._client, route), 0
        async for rows in self._reading.pages():
            ours = [row for row in rows if str(row[route.key]).startswith(prefix)]
            self._of_others += len(rows) - len(ours)
            if ours:
                yield ours

    async def completeness(self) -> Completeness:
        """Whether the pages of the last reading had every record that OpenIM counts."""
        reading = self._reading
        if reading is None:
            return Completeness()
        what = "users" if reading.route is PAGED["openim.users"] else "groups"
        hidden: tuple[str, ...] = ()
        unseen: tuple[str, ...] = ()
        if reading.lacking:
            hidden = (
                f"OpenIM counts {reading.total} {what}, and its pages had {len(reading.seen)} different ones, read several times",
            )
        if self._of_others:
            unseen = (f"{self._of_others} {what} of other applications, whose ids begin differently",)
        counted = None if hidden or self.relation == MEMBERS else reading.total - self._of_others
        return Completeness(counted=counted, hidden=hidden, unseen=unseen)

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The records of these ids, owners or tokens. Raises PartialAnswer where OpenIM did not answer for every one."""
        given = {str(value): value for value in values}
        askable = [name for name in given if _is_text(name)]
        if self.relation in _SINGLE:
            found = await lookups.one_by_one(self._client, askable, _SINGLE[self.relation])
        else:
            found = await lookups.in_batches(self._client, askable, _BATCHED[self.relation])
        found.unanswered |= {
            name: "they are no text, so they cannot be asked for" for name in given if not _is_text(name)
        }
        if found.unanswered:
            reasons = Counter(found.unanswered.values()).most_common(2)
            raise PartialAnswer(
                f"{self.label} did not answer for {len(found.unanswered)} of {len(given)} values: "
                f"{'; '.join(f'{why} ({count})' for why, count in reasons)}. Nothing is known of them. A proxy in front may change "
                "answers: compare with a request to OpenIM itself.",
                found.rows,
                [given[name] for name in found.unanswered],
            )
        return found.rows


def _is_text(name: str) -> bool:
    """Whether a value can be sent as JSON. Bytes that are not UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
