"""Users of the published browser client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.sdk.admin import Admin
from suites.contract.sdk.driver import Driver

WEB = 5
TEXT = 101


class BrowserUsers:
    """The users of one test, each with a client, by name."""

    def __init__(self, driver: Driver, admin: Admin, target: SdkTarget, api_url: str, *names: str) -> None:
        self.driver = driver
        self.ids = dict(zip(names, admin.register(*names), strict=True))
        self.tokens: dict[str, str] = {}
        self._admin, self._target, self._api_url = admin, target, api_url

    def login(self, name: str, *, client: str = "", ws_url: str = "") -> None:
        """Log in with a new token, as a client of this name, and wait until the client has synced and the user is online."""
        client = client or name
        self.tokens[client] = self._admin.token(self.ids[name], WEB)
        params = {
            "userID": self.ids[name],
            "token": self.tokens[client],
            "platformID": WEB,
            "apiAddr": self._api_url,
            "wsAddr": ws_url or self._target.ws_url,
        }
        self.driver.call(client, "login", params)
        self.driver.wait_for_event(client, "OnSyncServerFinish")
        self._admin.wait_online(self.ids[name])

    def send_text(self, name: str, text: str, *, to: str = "", group_id: str = "") -> dict[str, Any]:
        """Send a text to a user or a group; returns the message of the sender after the acknowledgement."""
        message = self.driver.call(name, "createTextMessage", text)
        params = {"recvID": self.ids.get(to, ""), "groupID": group_id, "message": message}
        sent: dict[str, Any] = self.driver.call(name, "sendMessage", params)
        return sent

    def receive(self, client: str, message: dict[str, Any], *, within_s: float = 10.0) -> dict[str, Any]:
        """Wait until a client receives a message, and return it."""
        batch = self.driver.wait_for_event(
            client, "OnRecvNewMessages", _holds(message["clientMsgID"]), within_s=within_s
        )
        return next(one for one in batch if one["clientMsgID"] == message["clientMsgID"])

    def count_received(self, client: str, message: dict[str, Any]) -> int:
        """How often a client has received a message."""
        batches = self.driver.events(client, "OnRecvNewMessages")
        return sum(one["clientMsgID"] == message["clientMsgID"] for batch in batches for one in batch)

    def history(self, client: str, conversation_id: str) -> list[dict[str, Any]]:
        """The newest messages of a conversation in the client, oldest first."""
        params = {"conversationID": conversation_id, "startClientMsgID": "", "count": 20}
        answer = self.driver.call(client, "getAdvancedHistoryMessageList", params)
        messages: list[dict[str, Any]] = answer["messageList"]
        return messages

    def wait_for_seq(self, client: str, conversation_id: str, message: dict[str, Any]) -> int:
        """Wait for the seq of a message that the client sent, and return it. The push to the sender brings it [F117]."""

        def seq() -> int:
            held = self.history(client, conversation_id)
            return next((one["seq"] for one in held if one["clientMsgID"] == message["clientMsgID"]), 0)

        self._admin.wait_until(lambda: seq() > 0, f"the seq of a message that {client} sent")
        return seq()

    def conversation(self, client: str, conversation_id: str) -> dict[str, Any]:
        """A conversation in the list of the client."""
        rows = self.driver.call(client, "getConversationListSplit", {"offset": 0, "count": 20})
        found: dict[str, Any] = next(one for one in rows if one["conversationID"] == conversation_id)
        return found

    def single_conversation(self, one: str, other: str) -> str:
        """The id of the conversation of two users."""
        return "si_" + "_".join(sorted((self.ids[one], self.ids[other])))

    def create_group(self, owner: str, *members: str) -> str:
        """Create a group and wait until all members have received it; returns its id."""
        params = {
            "memberUserIDs": [self.ids[name] for name in members],
            "adminUserIDs": [],
            "groupInfo": {"groupName": "trio", "groupType": 2},
        }
        group_id: str = self.driver.call(owner, "createGroup", params)["groupID"]
        for name in (owner, *members):
            self.driver.wait_for_event(name, "OnJoinedGroupAdded", lambda group: group["groupID"] == group_id)
        return group_id


def _holds(client_msg_id: str) -> Callable[[Any], bool]:
    return lambda batch: any(one["clientMsgID"] == client_msg_id for one in batch)


def texts(messages: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """(seq, text) of each text message."""
    return [(one["seq"], one["textElem"]["content"]) for one in messages if one["contentType"] == TEXT]
