"""The published browser client (npm `@openim/client-sdk`) works on the double as on the server it was made for."""

from __future__ import annotations

import pytest

from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.sdk.browser import WEB, Browser, texts
from suites.contract.sdk.drivers import Driver, Refused
from suites.contract.sdk.people import People
from suites.contract.sdk.relay import relayed
from suites.contract.sdk.tap import Tap

GROUP_CREATED, REVOKED = 1501, 2101
# The client tries again 5 s after it lost its connection.
RECONNECT_WITHIN_S = 20.0
# Sooner than that: otherwise it was not told, but found out when it connected again.
KICKED_WITHIN_S = 4.0


def test_two_users_chat(browser: Driver, people: People, target: SdkTarget, tap: Tap) -> None:
    """A text is acked, reaches the other once, gets its seq at the sender's, is read, and stands in both histories."""
    world = Browser(browser, people, target, tap.url, "ann", "ben")
    world.login("ann")
    world.login("ben")
    chat = world.single("ann", "ben")
    sent = world.say("ann", "hello ben", to="ben")
    assert (sent["status"], len(sent["serverMsgID"])) == (2, 32)
    heard = world.hears("ben", sent)
    assert (heard["textElem"]["content"], heard["seq"], heard["senderNickname"]) == ("hello ben", 1, "ann")
    assert world.listed("ben", chat)["unreadCount"] == 1
    browser.call("ben", "markConversationMessageAsRead", chat)
    receipt = browser.event("ann", "OnRecvC2CReadReceipt")
    assert receipt[0]["msgIDList"] == [sent["clientMsgID"]]
    assert world.listed("ben", chat)["unreadCount"] == 0
    reply = world.say("ben", "hello ann", to="ann")
    world.hears("ann", reply)
    for client in ("ann", "ben"):
        world.knows_seq(client, chat, reply)
        assert texts(world.history(client, chat)) == [(1, "hello ben"), (2, "hello ann")]
    assert (world.times_heard("ben", sent), world.times_heard("ann", reply)) == (1, 1)


def test_a_group_chats_and_one_message_is_revoked(browser: Driver, people: People, target: SdkTarget, tap: Tap) -> None:
    """All members are told of the group and of each message, and of the revocation, which takes the message's place."""
    world = Browser(browser, people, target, tap.url, "ann", "ben", "cyd")
    for name in world.ids:
        world.login(name)
    group_id = world.group("ann", "ben", "cyd")
    members = browser.call("ben", "getGroupMemberList", {"groupID": group_id, "filter": 0, "offset": 0, "count": 10})
    assert {(one["userID"], one["roleLevel"]) for one in members} == {
        (world.ids["ann"], 100),
        (world.ids["ben"], 20),
        (world.ids["cyd"], 20),
    }
    sent = world.say("ann", "hello group", group_id=group_id)
    for name in ("ben", "cyd"):
        assert world.hears(name, sent)["seq"] == 2  # the notice of the foundation has 1
    assert world.knows_seq("ann", f"sg_{group_id}", sent) == 2  # by which it is revoked
    browser.call("ann", "revokeMessage", {"conversationID": f"sg_{group_id}", "clientMsgID": sent["clientMsgID"]})
    for name in ("ben", "cyd"):
        told = browser.event(name, "OnNewRecvMessageRevoked")
        assert (told["clientMsgID"], told["revokerID"], told["seq"]) == (sent["clientMsgID"], world.ids["ann"], 2)
    world.login("ben", client="ben again")  # who knows nothing but what the server says
    for client in ("ann", "cyd", "ben again"):
        history = world.history(client, f"sg_{group_id}")
        assert [(one["seq"], one["contentType"]) for one in history] == [(1, GROUP_CREATED), (2, REVOKED)]
        assert "hello group" not in str(history)


def test_who_was_away_finds_everything_on_return(browser: Driver, people: People, target: SdkTarget, tap: Tap) -> None:
    """After a logout nothing is heard; the next login shows what came meanwhile, unread, with the whole history."""
    world = Browser(browser, people, target, tap.url, "ann", "cyd")
    for name in world.ids:
        world.login(name)
    group_id = world.group("ann", "cyd")
    browser.call("cyd", "logout")
    people.is_offline(world.ids["cyd"])
    alone = world.say("ann", "while away", to="cyd")
    grouped = world.say("ann", "group while away", group_id=group_id)
    people.has_seq(world.ids["cyd"], world.single("ann", "cyd"), 1)
    people.has_seq(world.ids["cyd"], f"sg_{group_id}", 2)
    world.login("cyd", client="cyd again")
    listed = browser.call("cyd again", "getConversationListSplit", {"offset": 0, "count": 10})
    unread = {one["conversationID"]: one["unreadCount"] for one in listed}
    assert unread == {world.single("ann", "cyd"): 1, f"sg_{group_id}": 2}
    assert texts(world.history("cyd again", world.single("ann", "cyd"))) == [(1, "while away")]
    assert texts(world.history("cyd again", f"sg_{group_id}")) == [(2, "group while away")]
    assert (world.times_heard("cyd", alone), world.times_heard("cyd", grouped)) == (0, 0)


def test_a_lost_connection_is_mended_and_the_gap_closed(
    browser: Driver, people: People, target: SdkTarget, tap: Tap
) -> None:
    """What was sent while the network was gone is heard, once and in order, when the client has connected again."""
    world = Browser(browser, people, target, tap.url, "ann", "ben")
    with relayed(target.ws_url) as relay:
        world.login("ann")
        world.login("ben", ws_url=relay.url)
        before = world.say("ann", "before", to="ben")
        world.hears("ben", before)
        relay.cut()
        people.is_offline(world.ids["ben"])
        missed = [world.say("ann", text, to="ben") for text in ("one", "two", "three")]
        people.has_seq(world.ids["ben"], world.single("ann", "ben"), 4)
        relay.mend()
        heard = [world.hears("ben", message, within_s=RECONNECT_WITHIN_S) for message in missed]
        assert texts(heard) == [(2, "one"), (3, "two"), (4, "three")]
        people.are_online(world.ids["ben"])
        after = world.say("ann", "after", to="ben")
        assert world.hears("ben", after)["seq"] == 5
        assert [world.times_heard("ben", message) for message in (before, *missed, after)] == [1] * 5


def test_a_second_login_kicks_the_first(browser: Driver, people: People, target: SdkTarget, tap: Tap) -> None:
    """The older client on the platform is told and hears no more; the newer one goes on."""
    world = Browser(browser, people, target, tap.url, "ann", "cyd")
    for name in world.ids:
        world.login(name)
    world.login("cyd", client="cyd again")
    browser.event("cyd", "OnKickedOffline", within_s=KICKED_WITHIN_S)
    sent = world.say("ann", "which one?", to="cyd")
    assert world.hears("cyd again", sent)["seq"] == 1
    assert world.times_heard("cyd", sent) == 0
    with pytest.raises(Refused):
        world.say("cyd", "still here?", to="ann")


def test_a_token_that_was_replaced_does_not_log_in(
    browser: Driver, people: People, target: SdkTarget, tap: Tap
) -> None:
    """The client is told that its token was kicked, by code, in the first frame."""
    world = Browser(browser, people, target, tap.url, "ann")
    old = people.token(world.ids["ann"], WEB)
    people.token(world.ids["ann"], WEB)
    params = {
        "userID": world.ids["ann"],
        "token": old,
        "platformID": WEB,
        "apiAddr": tap.url,
        "wsAddr": target.ws_url,
    }
    browser.call("ann", "login", params)
    browser.event("ann", "OnConnectFailed")
    assert not browser.heard("ann", "OnConnectSuccess")


def test_who_is_online_and_a_new_name_are_told(browser: Driver, people: People, target: SdkTarget, tap: Tap) -> None:
    """Subscribing shows who is connected by which platform; a changed nickname comes back to its owner."""
    world = Browser(browser, people, target, tap.url, "ann", "ben", "cyd")
    world.login("ann")
    world.login("ben")
    online = browser.call("ann", "subscribeUsersStatus", [world.ids["ben"], world.ids["cyd"]])
    shown = {one["userID"]: (one["status"], one["platformIDs"]) for one in online}
    assert shown == {world.ids["ben"]: (1, [WEB]), world.ids["cyd"]: (0, [])}
    browser.call("ann", "setSelfInfo", {"nickname": "ann the second"})
    assert browser.event("ann", "OnSelfInfoUpdated")["nickname"] == "ann the second"
