"""The published browser client (npm `@openim/client-sdk`) works with the double, or with the server under test."""

from __future__ import annotations

import pytest

from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.sdk.admin import Admin
from suites.contract.sdk.browser import WEB, BrowserUsers, texts
from suites.contract.sdk.driver import Driver, Refused
from suites.contract.sdk.recording_proxy import RecordingProxy
from suites.contract.sdk.relay import relayed

GROUP_CREATED, REVOKED = 1501, 2101
# The client reconnects 5 s after a lost connection.
RECONNECT_WITHIN_S = 20.0
# Less than that, so that the client learns it from a frame and not by reconnecting.
KICKED_WITHIN_S = 4.0


def test_two_users_chat(browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy) -> None:
    """A text is acknowledged, received once, gets its seq at the sender, is marked as read, and is in both histories."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "ben")
    users.login("ann")
    users.login("ben")
    chat = users.single_conversation("ann", "ben")
    sent = users.send_text("ann", "hello ben", to="ben")
    assert (sent["status"], len(sent["serverMsgID"])) == (2, 32)
    received = users.receive("ben", sent)
    assert (received["textElem"]["content"], received["seq"], received["senderNickname"]) == ("hello ben", 1, "ann")
    assert users.conversation("ben", chat)["unreadCount"] == 1
    browser.call("ben", "markConversationMessageAsRead", chat)
    receipt = browser.wait_for_event("ann", "OnRecvC2CReadReceipt")
    assert receipt[0]["msgIDList"] == [sent["clientMsgID"]]
    assert users.conversation("ben", chat)["unreadCount"] == 0
    reply = users.send_text("ben", "hello ann", to="ann")
    users.receive("ann", reply)
    for client in ("ann", "ben"):
        users.wait_for_seq(client, chat, reply)
        assert texts(users.history(client, chat)) == [(1, "hello ben"), (2, "hello ann")]
    assert (users.count_received("ben", sent), users.count_received("ann", reply)) == (1, 1)


def test_a_group_chats_and_one_message_is_revoked(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """All members receive the group, each message, and the revocation, which replaces the message in the history."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "ben", "cyd")
    for name in users.ids:
        users.login(name)
    group_id = users.create_group("ann", "ben", "cyd")
    members = browser.call("ben", "getGroupMemberList", {"groupID": group_id, "filter": 0, "offset": 0, "count": 10})
    assert {(one["userID"], one["roleLevel"]) for one in members} == {
        (users.ids["ann"], 100),
        (users.ids["ben"], 20),
        (users.ids["cyd"], 20),
    }
    sent = users.send_text("ann", "hello group", group_id=group_id)
    for name in ("ben", "cyd"):
        assert users.receive(name, sent)["seq"] == 2  # the notification of the new group has 1 [F78]
    assert users.wait_for_seq("ann", f"sg_{group_id}", sent) == 2  # revoking needs it
    browser.call("ann", "revokeMessage", {"conversationID": f"sg_{group_id}", "clientMsgID": sent["clientMsgID"]})
    for name in ("ben", "cyd"):
        revoked = browser.wait_for_event(name, "OnNewRecvMessageRevoked")
        assert (revoked["clientMsgID"], revoked["revokerID"], revoked["seq"]) == (
            sent["clientMsgID"],
            users.ids["ann"],
            2,
        )
    users.login("ben", client="ben again")  # a client without local data
    for client in ("ann", "cyd", "ben again"):
        history = users.history(client, f"sg_{group_id}")
        assert [(one["seq"], one["contentType"]) for one in history] == [(1, GROUP_CREATED), (2, REVOKED)]
        assert "hello group" not in str(history)


def test_a_login_after_an_absence_shows_the_missed_messages(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """After a logout nothing is received; the next login shows the missed messages as unread, and the whole history."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "cyd")
    for name in users.ids:
        users.login(name)
    group_id = users.create_group("ann", "cyd")
    browser.call("cyd", "logout")
    admin.wait_offline(users.ids["cyd"])
    alone = users.send_text("ann", "while away", to="cyd")
    grouped = users.send_text("ann", "group while away", group_id=group_id)
    admin.wait_for_seq(users.ids["cyd"], users.single_conversation("ann", "cyd"), 1)
    admin.wait_for_seq(users.ids["cyd"], f"sg_{group_id}", 2)
    users.login("cyd", client="cyd again")
    listed = browser.call("cyd again", "getConversationListSplit", {"offset": 0, "count": 10})
    unread = {one["conversationID"]: one["unreadCount"] for one in listed}
    assert unread == {users.single_conversation("ann", "cyd"): 1, f"sg_{group_id}": 2}
    assert texts(users.history("cyd again", users.single_conversation("ann", "cyd"))) == [(1, "while away")]
    assert texts(users.history("cyd again", f"sg_{group_id}")) == [(2, "group while away")]
    assert (users.count_received("cyd", alone), users.count_received("cyd", grouped)) == (0, 0)


def test_missed_messages_are_received_after_reconnecting(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """Messages sent while the network was down are received once and in order after the client has reconnected."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "ben")
    with relayed(target.ws_url) as relay:
        users.login("ann")
        users.login("ben", ws_url=relay.url)
        before = users.send_text("ann", "before", to="ben")
        users.receive("ben", before)
        relay.interrupt()
        admin.wait_offline(users.ids["ben"])
        missed = [users.send_text("ann", text, to="ben") for text in ("one", "two", "three")]
        admin.wait_for_seq(users.ids["ben"], users.single_conversation("ann", "ben"), 4)
        relay.restore()
        received = [users.receive("ben", message, within_s=RECONNECT_WITHIN_S) for message in missed]
        assert texts(received) == [(2, "one"), (3, "two"), (4, "three")]
        admin.wait_online(users.ids["ben"])
        after = users.send_text("ann", "after", to="ben")
        assert users.receive("ben", after)["seq"] == 5
        assert [users.count_received("ben", message) for message in (before, *missed, after)] == [1] * 5


def test_a_second_login_kicks_the_first(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """The older client of the platform is notified and receives nothing more; the newer one does."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "cyd")
    for name in users.ids:
        users.login(name)
    users.login("cyd", client="cyd again")
    browser.wait_for_event("cyd", "OnKickedOffline", within_s=KICKED_WITHIN_S)
    sent = users.send_text("ann", "which one?", to="cyd")
    assert users.receive("cyd again", sent)["seq"] == 1
    assert users.count_received("cyd", sent) == 0
    with pytest.raises(Refused):
        users.send_text("cyd", "still here?", to="ann")


def test_a_token_that_was_replaced_does_not_log_in(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """The first frame refuses the kicked token, and the client reports a failed connection."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann")
    old = admin.token(users.ids["ann"], WEB)
    admin.token(users.ids["ann"], WEB)
    params = {
        "userID": users.ids["ann"],
        "token": old,
        "platformID": WEB,
        "apiAddr": proxy.url,
        "wsAddr": target.ws_url,
    }
    browser.call("ann", "login", params)
    browser.wait_for_event("ann", "OnConnectFailed")
    assert not browser.events("ann", "OnConnectSuccess")


def test_online_status_and_a_new_nickname_are_received(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """A subscription shows the platforms on which users are online; the owner of a changed nickname receives it."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "ben", "cyd")
    users.login("ann")
    users.login("ben")
    online = browser.call("ann", "subscribeUsersStatus", [users.ids["ben"], users.ids["cyd"]])
    shown = {one["userID"]: (one["status"], one["platformIDs"]) for one in online}
    assert shown == {users.ids["ben"]: (1, [WEB]), users.ids["cyd"]: (0, [])}
    browser.call("ann", "setSelfInfo", {"nickname": "ann the second"})
    assert browser.wait_for_event("ann", "OnSelfInfoUpdated")["nickname"] == "ann the second"
