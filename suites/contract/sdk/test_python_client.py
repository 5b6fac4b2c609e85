"""The published Python client (PyPI `openim-sdk-core`: gob, gzip) works on the double as on the server it was made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.sdk.drivers import Driver, Refused
from suites.contract.sdk.people import People
from suites.contract.sdk.relay import relayed
from suites.contract.sdk.tap import Tap

IOS = 1
ONLINE, CAUGHT_UP = "on_recv_new_message", "on_recv_offline_new_message"
TEXT, GROUP = 101, 3


class Python:
    """The users of one test, each with a client and a database of its own, by name."""

    def __init__(self, driver: Driver, people: People, target: SdkTarget, tap: Tap, data: Path, *names: str) -> None:
        self.driver = driver
        self.ids = dict(zip(names, people.register(*names), strict=True))
        self._people, self._target, self._tap, self._data = people, target, tap, data

    def login(self, name: str, *, client: str = "", ws_url: str = "") -> None:
        """Log in with a fresh token, as a client of that name, connect, and wait for being online."""
        client = client or name
        config = {
            "ws_addr": ws_url or self._target.ws_url,
            "api_addr": self._tap.url,
            "data_dir": str(self._data / client),
            "platform_id": IOS,
            "timeout_seconds": 10,
            "reconnect_backoff_seconds": [0.2],
        }
        self.driver.call(client, "new", config)
        token = self._people.token(self.ids[name], IOS)
        self.driver.call(client, "login", {"user_id": self.ids[name], "token": token})
        self.driver.call(client, "start")
        self.driver.event(client, "on_connect_success")
        self._people.are_online(self.ids[name])

    def say(self, client: str, text: str, *, to: str = "", group_id: str = "") -> str:
        """Send a text to a user or a group; this client does not wait for the ack. Returns its client message id."""
        params: dict[str, Any] = {"text": text, "recv_id": self.ids.get(to, ""), "group_id": group_id}
        if group_id:
            params["session_type"] = GROUP  # the client's own default is one that servers refuse
        sent: str = self.driver.call(client, "send_text", params)["clientMsgID"]
        return sent

    def hears(self, client: str, client_msg_id: str, event: str = ONLINE) -> dict[str, Any]:
        """Wait until a client is told of a message, and return it."""
        message: dict[str, Any] = self.driver.event(client, event, lambda one: one["clientMsgID"] == client_msg_id)
        return message

    def texts(self, client: str, event: str) -> list[tuple[str, int, str]]:
        """Conversation, seq and text of the texts that a client was told of in this way."""
        heard = [one for one in self.driver.heard(client, event) if one["contentType"] == TEXT]
        return [(one["conversationID"], one["seq"], json.loads(one["content"])["content"]) for one in heard]


def test_two_users_chat(python: Driver, people: People, target: SdkTarget, tap: Tap, tmp_path: Path) -> None:
    """Texts arrive once on both sides, with their seqs and the sender's name, which the client asks for by REST."""
    world = Python(python, people, target, tap, tmp_path, "dot", "eve")
    world.login("dot")
    world.login("eve")
    first = world.say("dot", "hello eve", to="eve")
    heard = world.hears("eve", first)
    assert (json.loads(heard["content"])["content"], heard["seq"]) == ("hello eve", 1)
    assert (heard["senderNickname"], heard["status"], len(heard["serverMsgID"])) == ("dot", 2, 32)
    assert world.hears("dot", first)["seq"] == 1
    second = world.say("eve", "hello dot", to="dot")
    assert world.hears("dot", second)["seq"] == world.hears("eve", second)["seq"] == 2
    assert [len(world.texts(client, ONLINE)) for client in ("dot", "eve")] == [2, 2]
    assert python.call("dot", "get_self_user_info")["nickname"] == "dot"
    assert {call.path for call in tap.calls} == {"/user/get_users_info"}
    assert not python.heard("dot", "on_error")


def test_history_is_read_by_who_was_away(
    python: Driver, people: People, target: SdkTarget, tap: Tap, tmp_path: Path
) -> None:
    """A sync after login reads single and group conversations from their beginning, each message once, in order."""
    world = Python(python, people, target, tap, tmp_path, "dot", "eve", "fay")
    for name in ("dot", "eve"):
        world.login(name)
    members = [world.ids["eve"], world.ids["fay"]]
    created = people.ask(
        "/group/create_group",
        {
            "ownerUserID": world.ids["dot"],
            "memberUserIDs": members,
            "groupInfo": {"groupName": "trio", "groupType": 2},
        },
    )
    group_id = created["groupInfo"]["groupID"]
    chat = "si_" + "_".join(sorted((world.ids["dot"], world.ids["fay"])))
    for text in ("one", "two", "three"):
        world.say("dot", text, to="fay")
    in_group = world.say("eve", "to all", group_id=group_id)
    assert world.hears("dot", in_group)["seq"] == 2  # the notice of the foundation has 1
    people.has_seq(world.ids["fay"], chat, 3)
    world.login("fay")
    assert world.texts("fay", ONLINE) == []
    python.call("fay", "sync_once")
    expected = [(chat, 1, "one"), (chat, 2, "two"), (chat, 3, "three"), (f"sg_{group_id}", 2, "to all")]
    assert sorted(world.texts("fay", CAUGHT_UP)) == sorted(expected)
    python.call("fay", "sync_once")
    assert len(world.texts("fay", CAUGHT_UP)) == 4


def test_a_lost_connection_is_mended_and_the_gap_closed(
    python: Driver, people: People, target: SdkTarget, tap: Tap, tmp_path: Path
) -> None:
    """What was sent while the network was gone is read, once and in order, when the client has connected again."""
    world = Python(python, people, target, tap, tmp_path, "dot", "eve")
    with relayed(target.ws_url) as relay:
        world.login("dot")
        world.login("eve", ws_url=relay.url)
        world.hears("eve", world.say("dot", "before", to="eve"))
        relay.cut()
        people.is_offline(world.ids["eve"])
        for text in ("one", "two"):
            world.say("dot", text, to="eve")
        chat = "si_" + "_".join(sorted(world.ids.values()))
        people.has_seq(world.ids["eve"], chat, 3)
        relay.mend()
        people.wait(lambda: len(world.texts("eve", CAUGHT_UP)) >= 2, "eve to catch up")
        assert world.texts("eve", CAUGHT_UP) == [(chat, 2, "one"), (chat, 3, "two")]
        people.are_online(world.ids["eve"])
        after = world.hears("eve", world.say("dot", "after", to="eve"))
        assert (after["seq"], len(world.texts("eve", ONLINE))) == (4, 2)


def test_a_second_login_kicks_the_first(
    python: Driver, people: People, target: SdkTarget, tap: Tap, tmp_path: Path
) -> None:
    """The older client on the platform is told and hears no more; the newer one goes on."""
    world = Python(python, people, target, tap, tmp_path, "dot", "eve")
    world.login("dot")
    world.login("eve")
    world.login("eve", client="eve again")
    python.event("eve", "on_kicked_offline")
    sent = world.say("dot", "which one?", to="eve")
    assert world.hears("eve again", sent)["seq"] == 1
    assert world.texts("eve", ONLINE) == []


@pytest.mark.parametrize("stray", ["not.a.token", "kicked"])
def test_a_dead_token_does_not_connect(
    python: Driver, people: People, target: SdkTarget, tap: Tap, tmp_path: Path, stray: str
) -> None:
    """The handshake is refused without an upgrade, which the client reports as a failed connection."""
    (user_id,) = people.register("dot")
    token = people.token(user_id, IOS) if stray == "kicked" else stray
    if stray == "kicked":
        people.token(user_id, IOS)
    config = {"ws_addr": target.ws_url, "data_dir": str(tmp_path), "platform_id": IOS, "auto_reconnect": False}
    python.call("dot", "new", config)
    python.call("dot", "login", {"user_id": user_id, "token": token})
    with pytest.raises(Refused, match="200"):
        python.call("dot", "start")
    assert python.event("dot", "on_connect_failed")
