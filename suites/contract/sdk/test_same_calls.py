"""With the double, the published browser client makes the same REST calls as with the recorded server."""

from __future__ import annotations

from collections import Counter

from suites.contract.openim.sdk import recording as sdk_recording
from suites.contract.openim.sdk.target import SdkTarget
from suites.contract.sdk.admin import Admin
from suites.contract.sdk.browser import BrowserUsers
from suites.contract.sdk.driver import Driver
from suites.contract.sdk.recording_proxy import RecordingProxy

RECORDED = [call for call in sdk_recording.load() if call.client == "node-client"]
USERS = [f"<token:{number}>" for number in (2, 3, 4, 7, 8)]
# The recorded client paused after a login, until it was shown as online.
_PAUSE_MS = 500
# The creator of a group reads it by this route or by /jssdk/get_conversations: it depends on whether the notification of
# the new group or its own first message comes first. In the recording the message did.
DEPENDS_ON_TIMING = {"/group/get_groups_info"}


def calls_of_login(token: str) -> Counter[str]:
    """Path -> number of calls of a recorded login. Their order varies, because they are concurrent."""
    calls = [call for call in RECORDED if call.token == token]
    found: Counter[str] = Counter()
    for before, call in zip([calls[0], *calls], calls, strict=False):
        if call.t_ms - before.t_ms > _PAUSE_MS:
            break
        found[call.path] += 1
    return found


def test_a_login_makes_the_recorded_calls(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """8 calls for a new user, 9 for one with a group, each as often as recorded, and protobuf on the same routes."""
    assert [calls_of_login(token).total() for token in USERS] == [8, 8, 8, 9, 9]
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "cyd")
    for name in users.ids:
        users.login(name)
        assert Counter(proxy.paths(users.tokens[name])) == calls_of_login("<token:2>") == calls_of_login("<token:4>")
    users.create_group("ann", "cyd")
    browser.call("cyd", "logout")
    users.login("cyd", client="cyd again")
    assert Counter(proxy.paths(users.tokens["cyd again"])) == calls_of_login("<token:7>") == calls_of_login("<token:8>")
    for call in proxy.calls:
        binary = call.path in sdk_recording.PROTOBUF
        assert (call.content_type == "application/x-protobuf") == binary
        assert call.status == 200


def test_a_whole_scenario_calls_no_other_routes(
    browser: Driver, admin: Admin, target: SdkTarget, proxy: RecordingProxy
) -> None:
    """The recorded scenario calls the recorded routes, except for one that depends on timing."""
    users = BrowserUsers(browser, admin, target, proxy.url, "ann", "ben", "cyd")
    users.login("ann")
    users.login("ben")
    users.receive("ben", users.send_text("ann", "hello ben", to="ben"))
    browser.call("ben", "markConversationMessageAsRead", users.single_conversation("ann", "ben"))
    users.login("cyd")
    group_id = users.create_group("ann", "ben", "cyd")
    page = {"offset": 0, "count": 20}
    for name in ("ben", "cyd"):
        assert [one["groupID"] for one in browser.call(name, "getJoinedGroupListPage", page)] == [group_id]
    browser.call("ben", "getGroupMemberList", {"groupID": group_id, "filter": 0, "offset": 0, "count": 10})
    sent = users.send_text("ann", "hello group", group_id=group_id)
    for name in ("ben", "cyd"):
        users.receive(name, sent)
    users.wait_for_seq("ann", f"sg_{group_id}", sent)
    browser.call("ann", "revokeMessage", {"conversationID": f"sg_{group_id}", "clientMsgID": sent["clientMsgID"]})
    for name in ("ben", "cyd"):
        browser.wait_for_event(name, "OnNewRecvMessageRevoked")
    browser.call("cyd", "logout")
    admin.wait_offline(users.ids["cyd"])
    users.send_text("ann", "while away", to="cyd")
    users.send_text("ann", "group while away", group_id=group_id)
    admin.wait_for_seq(users.ids["cyd"], users.single_conversation("ann", "cyd"), 1)
    users.login("cyd", client="cyd again")
    users.history("cyd again", f"sg_{group_id}")
    browser.call("ann", "setSelfInfo", {"nickname": "ann the second"})
    browser.wait_for_event("ann", "OnSelfInfoUpdated")
    users.login("cyd", client="cyd a third time")
    browser.wait_for_event("cyd again", "OnKickedOffline")
    recorded = {call.path for call in RECORDED if call.token in USERS}
    called = {path for token in users.tokens.values() for path in proxy.paths(token)}
    assert called - recorded == set()
    assert recorded - called <= DEPENDS_ON_TIMING
