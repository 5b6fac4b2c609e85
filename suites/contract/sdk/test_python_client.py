"""The published Python client (PyPI `openim-sdk-core`: gob, gzip) works with the double, or with the server under test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.sdk.admin import Admin
from suites.contract.sdk.driver import Driver, Refused
from suites.contract.sdk.recording_proxy import RecordingProxy
from suites.contract.sdk.relay import relayed

IOS = 1
ONLINE, CAUGHT_UP = "on_recv_new_message", "on_recv_offline_new_message"
TEXT, GROUP = 101, 3


class PythonUsers:
    """The users of one test by name, each with a client and a local database."""

    def __init__(
        self, driver: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy, data: Path, *names: str
    ) -> None:
        self.driver = driver
        self.ids = dict(zip(names, admin.register(*names), strict=True))
        self._admin, self._target, self._proxy, self._data = admin, target, proxy, data

    def login(self, name: str, *, client: str = "", ws_url: str = "") -> None:
        """Log in with a new token, as a client of this name, connect, and wait until the user is online."""
        client = client or name
        config = {
            "ws_addr": ws_url or self._target.ws_url,
            "api_addr": self._proxy.url,
            "data_dir": str(self._data / client),
            "platform_id": IOS,
            "timeout_seconds": 10,
            "reconnect_backoff_seconds": [0.2],
        }
        self.driver.call(client, "new", config)
        token = self._admin.token(self.ids[name], IOS)
        self.driver.call(client, "login", {"user_id": self.ids[name], "token": token})
        self.driver.call(client, "start")
        self.driver.wait_for_event(client, "on_connect_success")
        self._admin.wait_online(self.ids[name])

    def send_text(self, client: str, text: str, *, to: str = "", group_id: str = "") -> str:
        """Send a text to a user or a group; returns its clientMsgID. This client does not wait for the acknowledgement."""
        params: dict[str, Any] = {"text": text, "recv_id": self.ids.get(to, ""), "group_id": group_id}
        if group_id:
            params["session_type"] = GROUP  # servers refuse the default of the client
        sent: str = self.driver.call(client, "send_text", params)["clientMsgID"]
        return sent

    def receive(self, client: str, client_msg_id: str, event: str = ONLINE) -> dict[str, Any]:
        """Wait until a client receives a message in an event of this name, and return it."""
        message: dict[str, Any] = self.driver.wait_for_event(
            client, event, lambda one: one["clientMsgID"] == client_msg_id
        )
        return message

    def texts(self, client: str, event: str) -> list[tuple[str, int, str]]:
        """(conversation, seq, text) of each text that a client received in events of this name."""
        received = [one for one in self.driver.events(client, event) if one["contentType"] == TEXT]
        return [(one["conversationID"], one["seq"], json.loads(one["content"])["content"]) for one in received]


def test_two_users_chat(python: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy, tmp_path: Path) -> None:
    """Texts arrive once on both sides, with their seqs and the nickname of the sender, which the client reads over REST."""
    users = PythonUsers(python, admin, target, proxy, tmp_path, "dot", "eve")
    users.login("dot")
    users.login("eve")
    first = users.send_text("dot", "hello eve", to="eve")
    received = users.receive("eve", first)
    assert (json.loads(received["content"])["content"], received["seq"]) == ("hello eve", 1)
    assert (received["senderNickname"], received["status"], len(received["serverMsgID"])) == ("dot", 2, 32)
    assert users.receive("dot", first)["seq"] == 1
    second = users.send_text("eve", "hello dot", to="dot")
    assert users.receive("dot", second)["seq"] == users.receive("eve", second)["seq"] == 2
    assert [len(users.texts(client, ONLINE)) for client in ("dot", "eve")] == [2, 2]
    assert python.call("dot", "get_self_user_info")["nickname"] == "dot"
    assert {call.path for call in proxy.calls} == {"/user/get_users_info"}
    assert not python.events("dot", "on_error")


def test_a_sync_after_login_reads_the_history(
    python: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy, tmp_path: Path
) -> None:
    """Single and group conversations are read from their beginning, each message once and in order."""
    users = PythonUsers(python, admin, target, proxy, tmp_path, "dot", "eve", "fay")
    for name in ("dot", "eve"):
        users.login(name)
    members = [users.ids["eve"], users.ids["fay"]]
    created = admin.call(
        "/group/create_group",
        {
            "ownerUserID": users.ids["dot"],
            "memberUserIDs": members,
            "groupInfo": {"groupName": "trio", "groupType": 2},
        },
    )
    group_id = created["groupInfo"]["groupID"]
    chat = "si_" + "_".join(sorted((users.ids["dot"], users.ids["fay"])))
    for text in ("one", "two", "three"):
        users.send_text("dot", text, to="fay")
    in_group = users.send_text("eve", "to all", group_id=group_id)
    assert users.receive("dot", in_group)["seq"] == 2  # the notification of the new group has 1 [F78]
    admin.wait_for_seq(users.ids["fay"], chat, 3)
    users.login("fay")
    assert users.texts("fay", ONLINE) == []
    python.call("fay", "sync_once")
    expected = [(chat, 1, "one"), (chat, 2, "two"), (chat, 3, "three"), (f"sg_{group_id}", 2, "to all")]
    assert sorted(users.texts("fay", CAUGHT_UP)) == sorted(expected)
    python.call("fay", "sync_once")
    assert len(users.texts("fay", CAUGHT_UP)) == 4


def test_missed_messages_are_received_after_reconnecting(
    python: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy, tmp_path: Path
) -> None:
    """Messages sent while the network was down are read once and in order after the client has reconnected."""
    users = PythonUsers(python, admin, target, proxy, tmp_path, "dot", "eve")
    with relayed(target.ws_url) as relay:
        users.login("dot")
        users.login("eve", ws_url=relay.url)
        users.receive("eve", users.send_text("dot", "before", to="eve"))
        relay.interrupt()
        admin.wait_offline(users.ids["eve"])
        for text in ("one", "two"):
            users.send_text("dot", text, to="eve")
        chat = "si_" + "_".join(sorted(users.ids.values()))
        admin.wait_for_seq(users.ids["eve"], chat, 3)
        relay.restore()
        admin.wait_until(lambda: len(users.texts("eve", CAUGHT_UP)) >= 2, "eve to catch up")
        assert users.texts("eve", CAUGHT_UP) == [(chat, 2, "one"), (chat, 3, "two")]
        admin.wait_online(users.ids["eve"])
        after = users.receive("eve", users.send_text("dot", "after", to="eve"))
        assert (after["seq"], len(users.texts("eve", ONLINE))) == (4, 2)


def test_a_second_login_kicks_the_first(
    python: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy, tmp_path: Path
) -> None:
    """The older client of the platform is notified and receives nothing more; the newer one does."""
    users = PythonUsers(python, admin, target, proxy, tmp_path, "dot", "eve")
    users.login("dot")
    users.login("eve")
    users.login("eve", client="eve again")
    python.wait_for_event("eve", "on_kicked_offline")
    sent = users.send_text("dot", "which one?", to="eve")
    assert users.receive("eve again", sent)["seq"] == 1
    assert users.texts("eve", ONLINE) == []


@pytest.mark.parametrize("invalid", ["not.a.token", "kicked"])
def test_an_invalid_token_does_not_connect(
    python: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy, tmp_path: Path, invalid: str
) -> None:
    """The handshake is refused without an upgrade, which the client reports as a failed connection."""
    (user_id,) = admin.register("dot")
    token = admin.token(user_id, IOS) if invalid == "kicked" else invalid
    if invalid == "kicked":
        admin.token(user_id, IOS)
    config = {"ws_addr": target.ws_url, "data_dir": str(tmp_path), "platform_id": IOS, "auto_reconnect": False}
    python.call("dot", "new", config)
    python.call("dot", "login", {"user_id": user_id, "token": token})
    with pytest.raises(Refused, match="200"):
        python.call("dot", "start")
    assert python.wait_for_event("dot", "on_connect_failed")
