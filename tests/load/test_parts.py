"""The parts of load by themselves: arrivals, guard, settings, recorder, account."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.clients.openim_calls import OpenIMError
from load.command import run_command
from load.config import settings_from
from load.guard import refusal
from load.report import account_for, write_json
from load.settings import Settings, SettingsError
from load.users.arrival import Model, Pace, due_times
from load.users.openim import OpenIMApi, Stored, envelope_of
from load.users.recorder import RunRecorder
from verifier.judges.journal import JournalError
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import outcome_of
from verifier.model.verdict import ExitCode

TEXT = "canary text"


@given(st.sampled_from(["even", "poisson"]), st.floats(0.01, 1000), st.integers())
def test_due_times_grow_and_keep_their_rate(model: Model, rate_per_s: float, seed: int) -> None:
    """Whatever the server does, message n is due at about n / rate."""
    due = list(itertools.islice(due_times(model, rate_per_s, random.Random(seed)), 400))  # noqa: S311 - arrivals
    assert due == sorted(due)
    assert due[0] >= 0
    assert 0.6 < due[-1] * rate_per_s / 400 < 1.6


def test_a_sender_that_falls_behind_sends_at_once_and_says_how_late() -> None:
    """A pause of the server shows as lateness, and no message is skipped."""
    pace = Pace(iter([1.0, 2.0, 3.0, 10.0]), started_s=100.0)
    assert pace.wait_s(100.0) == 1.0
    assert pace.take(104.0) == 3.0
    assert (pace.wait_s(104.0), pace.take(104.0)) == (0.0, 2.0)
    assert (pace.take(104.0), pace.wait_s(104.0)) == (1.0, 6.0)


def test_no_rate_is_no_load() -> None:
    """Zero is a mistake, told as one."""
    with pytest.raises(ValueError, match="is no load"):
        due_times("even", 0, random.Random())  # noqa: S311 - arrivals


@pytest.mark.parametrize(
    ("url", "allowed", "may"),
    [
        ("http://127.0.0.1:10002", (), True),
        ("http://127.9.9.9:1", (), True),
        ("https://[::1]:10002/api", (), True),
        ("http://localhost", (), True),
        ("http://localhost.example.com", (), False),
        ("http://127.0.0.1.example.com", (), False),
        ("http://user:127.0.0.1@openim.example.com", (), False),
        ("http://127.0.0.1@openim.example.com", (), False),
        ("http://10.0.0.1:10002", (), False),
        ("http://0.0.0.0:10002", (), False),
        ("http://openim.test:10002", ("openim.test",), True),
        ("http://OpenIM.test:10002", ("openim.TEST:10002",), True),
        ("http://openim.test:10003", ("openim.test:10002",), False),
        ("http://sub.openim.test", ("openim.test",), False),
        ("ftp://127.0.0.1", (), False),
        ("127.0.0.1:10002", (), False),
        ("http://127.0.0.1:port", (), False),
        ("", (), False),
    ],
)
def test_only_this_machine_and_what_the_profile_names(url: str, allowed: tuple[str, ...], may: bool) -> None:
    """The guard lets nothing through that merely looks like loopback."""
    assert (refusal(url, allowed) is None) is may


def _profile(path: Path, options: str) -> str:
    path.write_text(
        f"""
        stack = "staging"
        phase = "baseline"
        [roles.openim]
        api_url = "http://openim.test:10002"
        secret = "from-profile"
        admin_user_id = "verifierAdmin"
        [canary]
        journal = "journals"
        [canary.options]
        {options}
        """
    )
    return str(path)


def test_settings_come_from_the_profile_where_the_command_line_is_silent(tmp_path: Path) -> None:
    """Host, secret, canaries and permission are the profile's; the admin id is one for load alone."""
    profile = _profile(
        tmp_path / "stack.toml", 'load_hosts = ["openim.test"]\nload_admin = "loadAdmin"\nload_users = ["a", "b", "c"]'
    )
    settings = settings_from({"profile": profile, "rate": 4, "host": None})
    assert settings.api_url == "http://openim.test:10002"
    assert (settings.secret, settings.admin_user_id, settings.stack) == ("from-profile", "loadAdmin", "staging")
    assert [settings.user_id(number) for number in range(4)] == ["a", "b", "c", None]
    assert "from-profile" not in repr(settings)


def test_what_is_missing_or_forbidden_is_told_before_anything_runs(tmp_path: Path) -> None:
    """Each gap has its sentence and its next step."""
    local = {"host": "http://127.0.0.1:1", "openim_secret": "s", "openim_admin": "a"}
    cases: list[tuple[Mapping[str, object], str]] = [
        ({}, "Whom to load"),
        (local | {"host": "http://example.com"}, "does not allow load on it"),
        (local | {"openim_secret": ""}, "OPENIM_SECRET"),
        (local | {"openim_admin": ""}, "OPENIM_ADMIN"),
        (local | {"rate": 0}, "--rate must be above 0"),
        ({"profile": str(tmp_path / "absent.toml")}, "there is no profile"),
        ({"profile": _profile(tmp_path / "a.toml", "")}, "does not allow load on it"),
        ({"profile": _profile(tmp_path / "b.toml", 'load_hosts = "openim.test"')}, "must be a list"),
    ]
    for options, sentence in cases:
        with pytest.raises(SettingsError, match=sentence):
            settings_from(options)
    assert settings_from(local) == Settings(
        api_url="http://127.0.0.1:1",
        secret="s",  # noqa: S106 - of no server
        admin_user_id="a",
    )


def test_error_codes_tell_refused_from_unknown() -> None:
    """A refusal is told before anything is queued; a server's own failure may come after."""
    phases = {code: outcome_of(code) for code in (0, 1001, 1302, 1501, 500, 90002, -1)}
    assert phases == {
        0: OpPhase.OK,
        1001: OpPhase.FAIL,
        1302: OpPhase.FAIL,
        1501: OpPhase.FAIL,
        500: OpPhase.INFO,
        90002: OpPhase.INFO,
        -1: OpPhase.INFO,
    }


def test_an_answer_without_an_envelope_is_no_success() -> None:
    """A proxy's HTML page with status 200 acknowledges nothing."""
    for content in (b"<html>", b"", b"[]", b'{"errCode": null}'):
        assert envelope_of(200, content)[0] == -1
    assert envelope_of(200, b'{"errCode":0,"data":{"serverMsgID":"x"}}') == (0, "", {"serverMsgID": "x"})


class _Api(OpenIMApi):
    """An OpenIM of a few lists: what is stored is what a pull shows."""

    def __init__(self, stored: list[Stored], *, broken: bool = False) -> None:
        self.stored = stored
        self.broken = broken

    def max_seq(self, user_id: str, conversation: str) -> int:
        if self.broken:
            raise OpenIMError(500, "ServerInternalError", "")
        return len(self.stored)

    def pull(self, user_id: str, conversation: str, *, begin: int, end: int) -> Iterator[Stored]:
        yield from (item for item in self.stored if begin <= item.seq <= end)


def _recorded(path: Path, *, sends: int, stored: list[Stored], broken: bool = False, worker: int = 0) -> Path:
    recorder = RunRecorder.create(path, run_id="r1", worker=worker, stack="test")
    conversation = recorder.open_conversation("si_a_b", ("a", "b"), newest_seq=0)
    for _ in range(sends):
        marker = recorder.next_marker()
        call_id = recorder.begin_send("a", conversation, marker=marker, text=TEXT, late_s=0.001)
        recorder.end_send("a", conversation, call_id, OpPhase.OK, message_id=f"id-{marker}", error="")
    recorder.read_all_back(_Api(stored, broken=broken), settle_s=0, deadline_s=0, sleep=lambda _: None)
    recorder.close()
    return path


def _stored(*markers: str, text: str = TEXT) -> list[Stored]:
    return [Stored(seq, f"id-{seq}-{marker}", text, marker) for seq, marker in enumerate(markers, 1)]


def test_a_run_is_accounted_for(tmp_path: Path) -> None:
    """All there: 0. One lost and one doubled: 1, and both are named. Unreadable: 2."""
    whole = account_for([_recorded(tmp_path / "a.jsonl", sends=2, stored=_stored("r1.0.1", "r1.0.2"))], settle_s=0)
    assert whole.exit_code == ExitCode.HOLDS
    short = account_for([_recorded(tmp_path / "b.jsonl", sends=2, stored=_stored("r1.0.2", "r1.0.2"))], settle_s=0)
    assert short.exit_code == ExitCode.VIOLATED
    assert "2 lost" in short.to_text()
    assert "2 duplicated" in short.to_text()
    blind = account_for([_recorded(tmp_path / "c.jsonl", sends=2, stored=[], broken=True)], settle_s=0)
    assert blind.exit_code == ExitCode.INCONCLUSIVE
    assert "4 unknown" in blind.to_text()
    unsent = account_for([_recorded(tmp_path / "d.jsonl", sends=0, stored=[])], settle_s=0)
    assert unsent.exit_code == ExitCode.INCONCLUSIVE


def test_messages_of_others_are_not_this_journals_business(tmp_path: Path) -> None:
    """Another worker's markers, other runs' and people's own messages in the conversation accuse nobody."""
    stored = _stored("r1.0.1", "r1.1.1", "r0.0.1", "", "hello")
    account = account_for([_recorded(tmp_path / "a.jsonl", sends=1, stored=stored)], settle_s=0)
    assert account.exit_code == ExitCode.HOLDS


def test_the_report_as_json(tmp_path: Path) -> None:
    """Numbers, verdicts and problems, readable by other tools."""
    account = account_for(
        [_recorded(tmp_path / "a.jsonl", sends=1, stored=_stored("r1.0.1", text="other"))], settle_s=0
    )
    write_json(account, tmp_path / "out" / "a.json")
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (report["exit_code"], report["delivery"]["deliveries"]["altered"]) == (1, 2)
    assert "read with another" in report["judgements"]["delivery"]["problems"][0]["summary"]


def test_journals_of_two_workers_are_one_run_and_of_two_runs_are_refused(tmp_path: Path) -> None:
    """Workers' numbers add up; mixing runs would invent losses."""
    paths = [
        _recorded(tmp_path / f"{worker}.jsonl", sends=1, stored=_stored(f"r1.{worker}.1"), worker=worker)
        for worker in (0, 1)
    ]
    account = account_for(paths, settle_s=0)
    assert account.delivery is not None
    assert (account.delivery.sent, account.exit_code) == (2, ExitCode.HOLDS)
    other = RunRecorder.create(tmp_path / "x.jsonl", run_id="r2", worker=0, stack="test")
    other.close()
    with pytest.raises(JournalError, match="belong to 2 runs"):
        account_for([*paths, other.path], settle_s=0)
    with pytest.raises(JournalError, match="no journal to judge"):
        account_for([], settle_s=0)


def test_the_judge_command_and_its_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 accounted for, 1 violated, 3 usage: no traceback for bad input."""
    from load.__main__ import app

    good = _recorded(tmp_path / "a.jsonl", sends=1, stored=_stored("r1.0.1"))
    bad = _recorded(tmp_path / "b.jsonl", sends=1, stored=[])
    codes = []
    for arguments in ([str(good)], [str(bad)], [], [str(tmp_path / "absent")], ["--nonsense"]):
        monkeypatch.setattr("sys.argv", ["load", "judge", *arguments, "--out-dir", str(tmp_path), "--settle-s", "0"])
        codes.append(run_command(app))
    assert codes == [0, 1, 3, 3, 3]
    assert "every acknowledged message is accounted for" in capsys.readouterr().out
    assert (tmp_path / "load-r1.json").exists()
