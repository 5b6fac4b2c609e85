"""The double as a process: ports, restarts, refusals at the start."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import httpx
import pytest

from fixtures.clients.openim_rest import OpenIMError
from suites.contract.openim.replay import replay_flow
from suites.contract.openim.server import Server
from suites.selftest.openim.doubles import ADMIN, SECRET, free_port, running, start


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


def test_a_killed_double_finds_its_state_again(tmp_path: Path) -> None:
    """After kill -9 and a restart with the same state file: users, tokens, groups, messages, read positions."""
    arguments = ("--state-file", str(tmp_path / "state.db"))

    async def write() -> tuple[str, str]:
        async with first.client() as im:
            await im.user_register([{"userID": "ann", "nickname": "Ann"}, {"userID": "ben", "nickname": "Bén 😀"}])
            token = await im.get_user_token("ben", 5)
            group = await im.create_group("ann", name="G", member_user_ids=["ben"])
            await im.send_msg("ann", {"content": "one"}, recv_id="ben")
            await im.send_msg("ann", {"content": "two"}, group_id=group["groupID"])
            await im.kick_group(group["groupID"], ["ben"])
            await im.mark_conversation_as_read("ben", "si_ann_ben", 1)
            return token.token, group["groupID"]

    async def read(token: str, group_id: str) -> None:
        async with second.client() as im:
            assert (await im.parse_token(token))["userID"] == "ben"
            assert (await im.get_users_info(["ben"]))["ben"]["nickname"] == "Bén 😀"
            assert await im.get_group_member_user_ids(group_id) == ["ann"]
            assert len(await im.pull_msg_by_seq("ben", "si_ann_ben", begin=1, end=9)) == 1
            seqs = await im.get_read_and_max_seqs("ben")
            assert seqs["si_ann_ben"]["hasReadSeq"] == 1
            assert await im.newest_seq("ann") == {"si_ann_ben": 1, f"sg_{group_id}": 3, "n_ann_ben": 1}
            sent = await im.send_msg("ben", {"content": "three"}, recv_id="ann")
            assert sent["serverMsgID"]
            assert (await im.newest_seq("ann"))["si_ann_ben"] == 2

    with running(tmp_path / "log", *arguments) as first:
        known = asyncio.run(write())
        first.kill()
    with running(tmp_path / "log", *arguments) as second:
        asyncio.run(read(*known))


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
        (["--port", "1", "--ws-port", "2", "--state-file", __file__], "cannot be used"),
    ],
)
def test_bad_arguments_are_refused_with_a_sentence(extra: list[str], sentence: str) -> None:
    """The process says what is wrong and does not serve."""
    process = start(["--secret", SECRET, "--admin", ADMIN, *extra], stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=20)
    assert process.returncode in (1, 2)
    assert sentence in said
    assert "Traceback" not in said
