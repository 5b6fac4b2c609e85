"""Groups, cut connections and people who go away for a while: every message is still accounted for, and a loss is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from load.config import settings_from
from load.experiments.plans import read_plan, run_plan
from load.settings import SettingsError
from load.users.openim import OpenIMApi
from tests.load.doubled import ADMIN, SECRET, Double, a_double
from verifier.model.verdict import ExitCode


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    """One server for all runs."""
    with a_double() as running:
        yield running


@pytest.fixture(autouse=True)
def _clean(double: Double, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENIM_SECRET", SECRET)
    monkeypatch.setenv("OPENIM_ADMIN", ADMIN)
    yield
    double.faults()


def _run(
    double: Double, place: Path, load: str, *, read_deadline_s: float = 1, transport: str = "ws"
) -> tuple[ExitCode, dict[str, Any]]:
    plan = place / "plan.toml"
    plan.write_text(
        f"""
        out_dir = "{place}"
        [target]
        host = "{double.api_url}"
        ws_url = "{double.ws_url}"
        transport = "{transport}"
        [load]
        settle_s = 0.5
        late_most_ms = 2000
        read_deadline_s = {read_deadline_s}
        {load}
        """
    )
    code = run_plan(read_plan(plan)).code
    report = min(place.glob("load-*.json"), key=lambda path: len(path.name))
    return code, json.loads(report.read_text())


def test_a_group_reaches_all_who_are_there(tmp_path: Path, double: Double) -> None:
    """Seven users in groups of 600, three of each connected: each message is due at the sender's own and the others' places.

    The seventh would be alone in the last group, and stays out.
    """
    code, report = _run(
        double,
        tmp_path,
        'users = 7\nduration_s = 4\nrate = 8\nscenario = "groups"\ngroup_size = 600\ngroup_connected = 3',
    )
    deliveries = report["delivery"]["deliveries"]
    assert code is ExitCode.HOLDS
    assert report["delivery"]["acked"] == report["delivery"]["sent"] > 30
    assert deliveries["received"] == deliveries["expected"] == 3 * report["delivery"]["acked"]
    assert report["delivery"]["receivers"] == 6


def test_a_mixed_crowd_has_both(tmp_path: Path, double: Double) -> None:
    """Half in pairs, half in a group of four: deliveries are due to two and to four."""
    code, report = _run(
        double,
        tmp_path,
        'users = 8\nduration_s = 4\nrate = 10\nscenario = "mixed"\ngroup_share = 0.5\ngroup_size = 4',
    )
    delivery = report["delivery"]
    assert code is ExitCode.HOLDS
    assert delivery["receivers"] == 8
    assert 2 * delivery["acked"] < delivery["deliveries"]["received"] < 4 * delivery["acked"]


def test_what_a_group_lost_is_named_for_each_who_was_there(tmp_path: Path, double: Double) -> None:
    """Acknowledged and never stored: exactly the double's own log, for every connected member."""
    double.faults(seed=5, lose={"rate": 0.1})
    code, report = _run(double, tmp_path, 'users = 4\nduration_s = 4\nrate = 15\nscenario = "groups"\ngroup_size = 4')
    lost = double.markers("lose")
    named = {problem["key"].split(" ")[0] for problem in report["judgements"]["delivery"]["problems"]}
    assert code is ExitCode.VIOLATED
    assert named == lost != set()
    assert report["delivery"]["deliveries"]["lost"] == 4 * len(lost)


def test_a_reconnect_storm_loses_nothing(tmp_path: Path, double: Double) -> None:
    """All connections are cut without a word, again and again: what was under way is unknown or found, and nothing is accused."""
    code, report = _run(double, tmp_path, "users = 10\nduration_s = 5\nrate = 20\noutage_every_s = 2.2")
    assert code in (ExitCode.HOLDS, ExitCode.INCONCLUSIVE)
    assert {item["verdict"] for item in report["judgements"].values()} <= {"holds", "inconclusive"}
    assert report["delivery"]["deliveries"]["lost"] == 0
    assert report["delivery"]["acked"] > 100


def test_who_was_away_reads_what_was_missed(tmp_path: Path, double: Double) -> None:
    """Half of them leave for a while, having finished what they were sending; nothing is unknown, nothing lost."""
    code, report = _run(
        double,
        tmp_path,
        "users = 10\nduration_s = 6\nrate = 20\noutage_every_s = 2.5\noutage_share = 0.5\noutage_s = 1",
    )
    assert code is ExitCode.HOLDS
    assert report["delivery"]["unknown_sends"] == 0
    assert report["delivery"]["deliveries"]["received"] == 2 * report["delivery"]["acked"] > 200
    pushed = sum(report["timeline"]["pushed"])
    assert 0 < pushed < 2 * report["delivery"]["acked"]


def test_slow_receivers_get_everything_late(tmp_path: Path, double: Double) -> None:
    """Half of them read nothing for a while: what waits for them comes when they read on, and nothing is lost."""
    code, report = _run(
        double,
        tmp_path,
        "users = 10\nduration_s = 6\nrate = 20\noutage_every_s = 2\noutage_share = 0.5\noutage_s = 1.5\noutage_slow = true",
    )
    assert code is ExitCode.HOLDS
    assert report["delivery"]["deliveries"]["received"] == 2 * report["delivery"]["acked"] > 200
    assert sum(report["timeline"]["pushed"]) >= 2 * report["delivery"]["acked"] - 20
    assert report["latency_ms"]["push"]["p99"] > 500


def test_a_storm_of_read_receipts_loses_nothing(tmp_path: Path, double: Double) -> None:
    """Marks drop cached copies that the database does not have yet: what is empty for a moment is read again, and not called lost."""
    double.faults(databaseLagMs=1500)
    code, report = _run(
        double, tmp_path, "users = 10\nduration_s = 5\nrate = 20\nreceipts_every_s = 0.2", read_deadline_s=10
    )
    assert code is ExitCode.HOLDS
    assert report["judgements"]["receipts"]["verdict"] == "holds"
    assert report["delivery"]["deliveries"]["received"] == 2 * report["delivery"]["acked"] > 200
    assert "unseen" not in report["judgements"]["receipts"]["coverage"]


def test_a_forgotten_read_mark_is_named(tmp_path: Path, double: Double) -> None:
    """The readers whose marks the server acknowledged and dropped, but for those who wrote last: one's own messages count as read."""
    double.faults(forgetRead={})
    times = tmp_path / "times"
    times.write_text("\n".join(f"{number / 20:.2f}" for number in range(30)))
    code, report = _run(
        double,
        tmp_path,
        f'users = 6\nduration_s = 6\nreceipts_every_s = 0.3\narrivals = "trace"\ntrace = "{times}"',
    )
    marked: dict[tuple[str, str], int] = {}
    for entry in double.log("forgetRead"):
        reader = entry["userID"], entry["conversationID"]
        marked[reader] = max(entry["hasReadSeq"], marked.get(reader, 0))
    api = OpenIMApi(double.api_url, secret=SECRET, admin_user_id=ADMIN)
    behind = {reader for reader, seq in marked.items() if api.read_seq(*reader) < seq}
    api.close()
    named = {(one["evidence"]["user"], one["evidence"]["conversation"]) for one in _problems(report, "receipts")}
    assert code is ExitCode.VIOLATED
    assert named == behind != set()
    assert report["judgements"]["delivery"]["verdict"] == "holds"


def test_copies_of_a_batch_are_messages_of_their_own(tmp_path: Path, double: Double) -> None:
    """Each message to five receivers is five messages; those that the server acknowledged and lost are named, receiver by receiver."""
    double.faults(seed=9, lose={"rate": 0.05})
    code, report = _run(double, tmp_path, "users = 3\nduration_s = 4\nrate = 5\nbatch = 5", transport="rest")
    lost = {f"{entry['ex']}{entry['conversationID'].split('_')[1]}" for entry in double.log("lose")}
    named = {one["key"].split(" ")[0] for one in _problems(report, "delivery")}
    assert code is ExitCode.VIOLATED
    assert named == lost != set()
    assert report["delivery"]["acked"] == report["delivery"]["sent"] >= 3 * 5 * 10
    assert report["delivery"]["deliveries"]["lost"] == 2 * len(lost)
    assert report["delivery"]["receivers"] == 3 + 5


def test_a_copy_that_was_not_sent_is_not_called_acknowledged(tmp_path: Path, double: Double) -> None:
    """One receiver blocks one sender: errCode stays 0, the copy stands in failedUserIDs alone (trap T13), and its fate is unknown."""
    api = OpenIMApi(double.api_url, secret=SECRET, admin_user_id=ADMIN)
    api.ensure_registered(["canaryload000000", "canaryidle00001"])
    black = {"ownerUserID": "canaryidle00001", "blackUserID": "canaryload000000"}
    answer = httpx.post(f"{double.api_url}/friend/add_black", json=black, headers=api.headers())
    api.close()
    assert answer.json()["errCode"] == 0, answer.text
    code, report = _run(double, tmp_path, "users = 1\nduration_s = 3\nrate = 5\nbatch = 3", transport="rest")
    delivery = report["delivery"]
    assert code is ExitCode.HOLDS
    assert delivery["acked"] == 2 * delivery["unknown_sends"] > 10
    assert delivery["recovered_sends"] == 0
    assert any("got no answer" in note for note in report["judgements"]["delivery"]["notes"])


def _problems(report: dict[str, Any], judge: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report["judgements"][judge]["problems"]
    return found


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scenario": "groups", "transport": "rest"}, "--transport ws"),
        ({"scenario": "groups", "transport": "ws", "group_size": 2}, "3 people"),
        ({"scenario": "groups", "transport": "ws", "group_size": 20_000}, "10000"),
        ({"scenario": "groups", "transport": "ws", "group_size": 5, "group_connected": 6}, "does not fit"),
        ({"transport": "ws", "outage_slow": True, "outage_s": 20, "outage_every_s": 1}, "answers no ping"),
        ({"transport": "rest", "receipts_every_s": 1}, "what a user got"),
        ({"transport": "ws", "batch": 5}, "--transport rest"),
        ({"transport": "rest", "batch": 1001}, "1 to 1000"),
        ({"transport": "ws", "outage_share": 0.0, "outage_every_s": 1}, "no share"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], says: str) -> None:
    """Before anything is sent, with the option's name."""
    with pytest.raises(SettingsError, match=says):
        settings_from(
            {
                "host": "http://127.0.0.1:1",
                "openim_secret": "s",
                "ws_url": "ws://127.0.0.1:1",
                "openim_admin": "a",
                **options,
            }
        )
