"""Users with the published browser client, for tests that drive it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.sdk.drivers import Driver
from suites.contract.sdk.people import People

WEB = 5
TEXT = 101


class Browser:
    """The users of one test, each with a client, by name."""

    def __init__(self, driver: Driver, people: People, target: SdkTarget, api_url: str, *names: str) -> None:
        self.driver = driver
        self.ids = dict(zip(names, people.register(*names), strict=True))
        self.tokens: dict[str, str] = {}
        self._people, self._target, self._api_url = people, target, api_url

    def login(self, name: str, *, client: str = "", ws_url: str = "") -> None:
        """Log in with a fresh token, as a client of that name, and wait for the first sync and for being online."""
        client = client or name
        self.tokens[client] = self._people.token(self.ids[name], WEB)
        params = {
            "userID": self.ids[name],
            "token": self.tokens[client],
            "platformID": WEB,
            "apiAddr": self._api_url,
            "wsAddr": ws_url or self._target.ws_url,
        }
        self.driver.call(client, "login", params)
        self.driver.event(client, "OnSyncServerFinish")
        self._people.are_online(self.ids[name])

    def say(self, name: str, text: str, *, to: str = "", group_id: str = "") -> dict[str, Any]:
        """Send a text to a user or a group; returns the message as the sender has it after the ack."""
        message = self.driver.call(name, "createTextMessage", text)
        params = {"recvID": self.ids.get(to, ""), "groupID": group_id, "message": message}
        sent: dict[str, Any] = self.driver.call(name, "sendMessage", params)
        return sent

    def hears(self, client: str, message: dict[str, Any], *, within_s: float = 10.0) -> dict[str, Any]:
        """Wait until a client is told of a message, and return it."""
        batch = self.driver.event(client, "OnRecvNewMessages", _holds(message["clientMsgID"]), within_s=within_s)
        return next(one for one in batch if one["clientMsgID"] == message["clientMsgID"])

    def times_heard(self, client: str, message: dict[str, Any]) -> int:
        """How often a client was told of a message so far."""
        batches = self.driver.heard(client, "OnRecvNewMessages")
        return sum(one["clientMsgID"] == message["clientMsgID"] for batch in batches for one in batch)

    def history(self, client: str, conversation_id: str) -> list[dict[str, Any]]:
        """The newest messages of a conversation, oldest first, as the client shows them."""
        params = {"conversationID": conversation_id, "startClientMsgID": "", "count": 20}
        answer = self.driver.call(client, "getAdvancedHistoryMessageList", params)
        messages: list[dict[str, Any]] = answer["messageList"]
        return messages

    def knows_seq(self, client: str, conversation_id: str, message: dict[str, Any]) -> int:
        """Wait until a client has the seq of a message of its own, which comes with the push to itself; returns it."""

        def seq() -> int:
            held = self.history(client, conversation_id)
            return next((one["seq"] for one in held if one["clientMsgID"] == message["clientMsgID"]), 0)

        self._people.wait(lambda: seq() > 0, f"{client} to learn the seq of its message")
        return seq()

    def listed(self, client: str, conversation_id: str) -> dict[str, Any]:
        """A conversation as the client's list shows it."""
        rows = self.driver.call(client, "getConversationListSplit", {"offset": 0, "count": 20})
        found: dict[str, Any] = next(one for one in rows if one["conversationID"] == conversation_id)
        return found

    def single(self, one: str, other: str) -> str:
        """The conversation of two users."""
        return "si_" + "_".join(sorted((self.ids[one], self.ids[other])))

    def group(self, owner: str, *members: str) -> str:
        """Found a group and wait until all of them are told; returns its id."""
        params = {
            "memberUserIDs": [self.ids[name] for name in members],
            "adminUserIDs": [],
            "groupInfo": {"groupName": "trio", "groupType": 2},
        }
        group_id: str = self.driver.call(owner, "createGroup", params)["groupID"]
        for name in (owner, *members):
            self.driver.event(name, "OnJoinedGroupAdded", lambda group: group["groupID"] == group_id)
        return group_id


def _holds(client_msg_id: str) -> Callable[[Any], bool]:
    return lambda batch: any(one["clientMsgID"] == client_msg_id for one in batch)


def texts(messages: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Seq and text of the text messages."""
    return [(one["seq"], one["textElem"]["content"]) for one in messages if one["contentType"] == TEXT]
