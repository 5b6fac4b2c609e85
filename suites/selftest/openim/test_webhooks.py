"""How webhooks are called: failures, waiting, order, and what gets lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from fixtures.clients.openim_calls import OpenIMError
from fixtures.openim.state import State
from fixtures.openim.webhooks.queue import PLACES, WORKERS
from fixtures.webhook_sink import Answer, go_on
from suites.selftest.openim.doubles import free_port
from suites.selftest.openim.hooked import Hooked, hooked

pytestmark = pytest.mark.anyio

_BEFORE, _AFTER = "callbackBeforeUserRegisterCommand", "callbackAfterUserRegisterCommand"
_HANGS = Answer(delay_s=60)


async def _register(double: Hooked, name: str = "dan") -> None:
    await double.im.user_register([{"userID": name, "nickname": name}])


async def _refused(double: Hooked) -> OpenIMError:
    with pytest.raises(OpenIMError) as refused:
        await _register(double)
    assert double.state.users.get("dan") is None
    return refused.value


async def test_no_answer_in_time_fails_the_request(state: State) -> None:
    """A before-webhook that takes longer than its timeout: 90004, and nothing was done."""
    async with hooked(state) as double:
        double.switch_on("beforeUserRegister", timeout=0.2)
        double.sink.answer(_BEFORE, _HANGS)
        began = time.monotonic()
        error = await _refused(double)
        assert (error.err_code, error.err_msg) == (90004, "NetworkError")
        assert "deadline exceeded" in error.err_dlt
        assert 0.2 <= time.monotonic() - began < 2


async def test_nobody_there_fails_the_request(state: State) -> None:
    """A before-webhook that nobody listens for: 90004, also where failedContinue is set (trap R10)."""
    async with hooked(state) as double:
        double.switch_on("beforeUserRegister", url=f"http://127.0.0.1:{free_port()}", failedContinue=True)
        assert (await _refused(double)).err_code == 90004


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b'{"actionCode":"0"}', b'{"users":{}}'])
async def test_an_answer_that_is_no_reply_fails_the_request(state: State, body: bytes) -> None:
    """Not JSON, or JSON of another shape: 90007, and nothing was done."""
    async with hooked(state) as double:
        double.switch_on("beforeUserRegister")
        double.sink.answer(_BEFORE, Answer(body))
        error = await _refused(double)
        assert (error.err_code, error.err_msg) == (90007, "DataError")
        assert error.err_dlt.endswith("response format error")


@pytest.mark.parametrize(
    "answer",
    [Answer(b"null"), Answer(status=503), go_on(nextCode=2), go_on(actionCode=1, nextCode=1, errCode=7001)],
    ids=["null", "503", "another next code", "an action code"],
)
async def test_anything_but_a_refusal_goes_on(state: State, answer: Answer) -> None:
    """Neither the HTTP status nor any other pair of codes stops the request."""
    async with hooked(state) as double:
        double.switch_on("beforeUserRegister")
        double.sink.answer(_BEFORE, answer)
        await _register(double)
        assert state.users.get("dan") is not None


async def test_a_refusal_without_a_code_is_a_server_error(state: State) -> None:
    """errCode 0 in a refusal becomes 500 on the way, with the name that the webhook gave."""
    async with hooked(state) as double:
        double.switch_on("beforeUserRegister")
        double.sink.answer(_BEFORE, go_on(nextCode=1, errMsg="no"))
        error = await _refused(double)
        assert (error.err_code, error.err_msg) == (500, "no")


async def test_failed_continue_where_it_is_honoured(state: State) -> None:
    """With the switch, a webhook with failedContinue that fails lets the request go on; without it, or refusing, not."""
    async with hooked(state) as double:
        url = f"http://127.0.0.1:{free_port()}"
        double.switch_on("beforeUserRegister", url=url, honour=True)
        assert (await _refused(double)).err_code == 90004
        double.switch_on("beforeUserRegister", honour=True, failedContinue=True)
        double.sink.answer(_BEFORE, go_on(nextCode=1, errCode=7001))
        assert (await _refused(double)).err_code == 7001
        double.switch_on("beforeUserRegister", url=url, honour=True, failedContinue=True)
        await _register(double)
        assert state.users.get("dan") is not None


async def test_a_hanging_webhook_holds_up_nobody_else(state: State) -> None:
    """While one request waits for its webhook, others of all kinds are answered at once."""
    async with hooked(state) as double:
        double.switch_on("beforeUserRegister", timeout=30)
        double.sink.answer(_BEFORE, _HANGS, go_on())
        waiting = asyncio.create_task(_register(double))
        await double.sink.wait_for(_BEFORE)
        began = time.monotonic()
        for number in range(20):
            await double.im.send_msg("ann", {"content": str(number)}, recv_id="ben")
        await _register(double, "eve")
        assert time.monotonic() - began < 2
        assert not waiting.done()
        waiting.cancel()


async def test_what_changed_during_the_wait_is_seen(state: State) -> None:
    """Two requests that register the same user wait together; the second breaks the unique index."""
    async with hooked(state) as double:
        double.switch_on("beforeUserRegister")
        double.sink.answer(_BEFORE, Answer(delay_s=0.1))
        outcomes = await asyncio.gather(_register(double), _register(double), return_exceptions=True)
        (error,) = [one for one in outcomes if one is not None]
        assert isinstance(error, OpenIMError)
        assert error.err_code == 500
        assert "user_id_1" in error.err_dlt


async def test_after_webhooks_do_not_delay_and_their_reply_is_ignored(state: State) -> None:
    """The request is answered while its after-webhook still waits; refusing changes nothing."""
    async with hooked(state) as double:
        double.switch_on("afterUserRegister")
        double.sink.answer(_AFTER, Answer(b'{"actionCode":0,"nextCode":1,"errCode":7001}', delay_s=1))
        began = time.monotonic()
        await _register(double)
        assert time.monotonic() - began < 0.8
        await double.sink.wait_for(_AFTER)
        assert state.users.get("dan") is not None


async def test_a_full_queue_loses(state: State, caplog: pytest.LogCaptureFixture) -> None:
    """Two calls are under way and a hundred wait; what finds no place in time is lost, and the log says so."""
    extra = 7
    async with hooked(state) as double:
        double.switch_on("afterUserRegister", timeout=5, full_wait_s=0.2)
        double.sink.answer(_AFTER, *[Answer(delay_s=2)] * WORKERS, go_on())
        for number in range(WORKERS):
            await _register(double, f"first{number}")
        await double.sink.wait_for(_AFTER, WORKERS)
        for number in range(PLACES + extra):
            await _register(double, f"u{number}")
        told = await double.sink.wait_for(_AFTER, WORKERS + PLACES, within_s=10)
        await asyncio.sleep(0.3)
        assert len(double.sink.calls) == len(told) == WORKERS + PLACES
        names = {call.body["users"][0]["userID"] for call in told}
        assert f"u{PLACES - 1}" in names
        assert not names & {f"u{PLACES + number}" for number in range(extra)}
    assert sum("is lost" in record.message for record in caplog.records) == extra


async def test_a_short_crowd_is_not_lost(state: State) -> None:
    """More than a hundred at once are all told when the receiver is quick enough."""
    async with hooked(state) as double:
        double.switch_on("afterSendSingleMsg")
        await double.im.user_register([{"userID": f"u{number}", "nickname": "u"} for number in range(150)])
        await double.im.batch_send_msg("ann", [f"u{number}" for number in range(150)], {"content": "hi"})
        await double.sink.wait_for("callbackAfterSendSingleMsgCommand", 150)


async def test_services_have_queues_of_their_own(state: State) -> None:
    """A service whose queue is stuck does not hold up the after-webhooks of another."""
    async with hooked(state) as double:
        double.switch_on("afterUserRegister", "afterAddFriend", timeout=30)
        double.sink.answer(_AFTER, _HANGS)
        for number in range(WORKERS + 1):
            await _register(double, f"u{number}")
        await double.im.call("/friend/add_friend", {"fromUserID": "ann", "toUserID": "ben"})
        await double.sink.wait_for("callbackAfterAddFriendCommand")
        assert len(double.sink.of(_AFTER)) == WORKERS


async def test_an_after_webhook_that_fails_is_lost(state: State, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody there: the request succeeds, the call is not repeated, the log says so."""
    async with hooked(state) as double:
        double.switch_on("afterUserRegister", url=f"http://127.0.0.1:{free_port()}")
        await _register(double)
        await double.state.hooks.drained()
        assert state.users.get("dan") is not None
    assert "afterUserRegister was not told" in caplog.text
