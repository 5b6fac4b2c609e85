"""The double as a process: ports, restarts, refusals at the start."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.clients.openim_rest import OpenIMError, OpenIMRest
from suites.contract.openim.replay import replay_flow
from suites.contract.openim.server import Server
from suites.selftest.openim.databases import Place
from suites.selftest.openim.doubles import ADMIN, SECRET, free_port, running, start

PORTS = ("--port", "1", "--ws-port", "2")


def test_answers_over_http_as_recorded(tmp_path: Path) -> None:
    """Redirects, 404s, OPTIONS, HEAD and odd bodies pass through the real HTTP server unchanged."""
    with running(tmp_path / "log") as double:
        server = Server(api=double.api_url, secret=SECRET, admin=ADMIN)
        outcomes = asyncio.run(replay_flow(server, "envelope")).outcomes
    assert len(outcomes) == 43
    assert not [outcome for outcome in outcomes if outcome.differences]


def test_the_gateway_refuses_in_plain_http(tmp_path: Path) -> None:
    """A caller without parameters is told why, with HTTP 200, as the recorded server tells it."""
    with running(tmp_path / "log") as double:
        answer = httpx.get(double.ws_url, trust_env=False)
    assert (answer.status_code, answer.json()["errCode"]) == (200, 1602)


def test_a_killed_double_finds_its_state_again(tmp_path: Path, place: Place) -> None:
    """After kill -9 and a restart on the same database all that was answered is there: the marks and logs as well."""

    async def write() -> dict[str, Any]:
        async with first.client() as im:
            await im.user_register([{"userID": "ann", "nickname": "Ann"}, {"userID": "ben", "nickname": "Bén 😀"}])
            token = await im.get_user_token("ben", 5)
            group = await im.create_group("ann", name="G", member_user_ids=["ben"])
            for text in ("one", "two", "three", "four"):
                await im.send_msg("ann", {"content": text}, recv_id="ben")
            await im.send_msg("ann", {"content": "two"}, group_id=group["groupID"])
            await im.kick_group(group["groupID"], ["ben"])
            await im.mark_conversation_as_read("ben", "si_ann_ben", 1)
            await im.revoke_msg("ann", "si_ann_ben", 2)
            seqs = {"conversationID": "si_ann_ben", "userID": "ben", "seqs": [3]}
            await im.call("/msg/delete_msgs", seqs)
            await im.call("/friend/add_friend", {"fromUserID": "ann", "toUserID": "ben", "reqMsg": "hello"})
            return {"token": token.token, "group_id": group["groupID"], **await read(im, token.token, group["groupID"])}

    async def read(im: OpenIMRest, token: str, group_id: str) -> dict[str, Any]:
        who = {"userID": "ben", "pagination": {"pageNumber": 1, "showNumber": 10}}
        return {
            "owner of the token": (await im.parse_token(token))["userID"],
            "user": await im.get_users_info(["ben"]),
            "group": await im.get_groups_info([group_id]),
            "members": await im.get_group_member_user_ids(group_id),
            "messages": await im.pull_msg_by_seq("ben", "si_ann_ben", begin=1, end=9),
            "positions": await im.get_read_and_max_seqs("ben"),
            "newest": await im.newest_seq("ann"),
            "requests": await im.call("/friend/get_friend_apply_list", who),
            "conversations": await im.call("/conversation/get_all_conversations", {"ownerUserID": "ben"}),
            "changes": await im.call("/conversation/get_incremental_conversations", {"userID": "ben"}),
        }

    async def compare() -> None:
        async with second.client() as im:
            found = await read(im, known["token"], group_id)
            assert found == {name: known[name] for name in found}
            await im.send_msg("ben", {"content": "five"}, recv_id="ann")
            assert (await im.newest_seq("ann"))["si_ann_ben"] == 5

    with running(tmp_path / "log", *place.arguments) as first:
        known = asyncio.run(write())
        group_id = known.pop("group_id")
        first.kill()
    with running(tmp_path / "log", *place.arguments) as second:
        asyncio.run(compare())


def test_what_was_answered_in_a_crowd_survives_a_crash(tmp_path: Path, place: Place) -> None:
    """Killed in the middle of many sends, the double has every message that was answered, each seq once."""

    async def send() -> int:
        answered = 0

        async def one(number: int) -> None:
            nonlocal answered
            for round_number in range(100):
                await im.send_msg("ann", {"content": f"{number} {round_number}"}, recv_id="ben")
                answered += 1
                if answered == 150:
                    first.kill()

        async with first.client() as im:
            await im.user_register([{"userID": "ann", "nickname": "Ann"}, {"userID": "ben", "nickname": "Ben"}])
            await asyncio.gather(*(one(number) for number in range(8)), return_exceptions=True)
        return answered

    async def count(answered: int) -> None:
        async with second.client() as im:
            newest = (await im.newest_seq("ann"))["si_ann_ben"]
            found = await im.pull_msg_by_seq("ann", "si_ann_ben", begin=1, end=newest)
            assert len(found) >= answered >= 150
            await im.send_msg("ben", {"content": "next"}, recv_id="ann")
            assert (await im.newest_seq("ann"))["si_ann_ben"] == newest + 1

    with running(tmp_path / "log", *place.arguments) as first:
        known = asyncio.run(send())
    with running(tmp_path / "log", *place.arguments) as second:
        asyncio.run(count(known))


@pytest.mark.parametrize("faults", [False, True])
def test_the_fault_routes_are_closed_unless_opened(tmp_path: Path, faults: bool) -> None:
    """Without --faults there is no such route; with it a lost token store makes good tokens 1507."""

    async def lose() -> tuple[int, int]:
        async with double.client() as im, httpx.AsyncClient(trust_env=False) as http:
            token = await im.admin_token()
            flushed = await http.post(
                f"{double.api_url}/_double/flush_tokens", headers={"operationID": "1", "token": token}
            )
            try:
                await im.parse_token(token)
            except OpenIMError as error:
                return flushed.status_code, error.err_code
            return flushed.status_code, 0

    with running(tmp_path / "log", *(["--faults"] if faults else [])) as double:
        assert asyncio.run(lose()) == ((200, 1507) if faults else (404, 0))


def test_a_taken_port_ends_the_process_with_a_sentence(tmp_path: Path) -> None:
    """No half-started double stays behind."""
    with running(tmp_path / "log") as double:
        taken = double.api_url.rsplit(":", 1)[1]
        command = ["--port", taken, "--ws-port", str(free_port()), "--secret", SECRET, "--admin", ADMIN]
        second = start(command, stderr=subprocess.PIPE)
        _, said = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "address already in use" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--port", "1", "--ws-port", "1"], "must differ"),
        ([*PORTS, "--mongo", "http://nowhere"], "This is no address of a MongoDB"),
        ([*PORTS, "--mongo", "mongodb://someone:s3cret@127.0.0.1:1"], "MongoDB cannot be used: 127.0.0.1:1"),
    ],
)
def test_bad_arguments_are_refused_with_a_sentence(extra: list[str], sentence: str) -> None:
    """The process says what is wrong, in one sentence without a password, and does not serve."""
    process = start(["--secret", SECRET, "--admin", ADMIN, *extra], stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=20)
    assert process.returncode in (1, 2)
    assert sentence in said
    assert "Traceback" not in said
    assert "s3cret" not in said


def test_a_database_that_holds_something_else_is_refused(place: Place) -> None:
    """Documents that are not what the layout says end the start with a sentence; nothing is skipped."""
    place.read["seq"].insert_one({"conversation_id": "x"})
    process = start(["--secret", SECRET, "--admin", ADMIN, *PORTS, *place.arguments], stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "What MongoDB holds cannot be read: KeyError: 'max_seq'" in said
    assert "Traceback" not in said
