"""The audit: messages that disappeared after a run are reported, and no others."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from load.__main__ import app
from load.journal.layout import Kind
from load.journal.reader import ColumnReader
from load.users.openim import OpenIMApi, conversation_id
from tests.load.doubled import ADMIN, SECRET, Double, Drive, a_double, marker, poisson
from tests.load.rest_runs import recorded, stored
from verifier.model.verdict import ExitCode

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("credentials")]


def _recorded(double: Double, path: Path, seed: int) -> Drive:
    run = Drive(double, path, seed=seed, pairs=2)
    run.start(poisson(40.0, 0.6))
    time.sleep(1.0)
    judged = run.judge()
    assert judged.delivery is not None
    assert judged.delivery.count("lost") == 0
    return run


def _audit(double: Double, path: Path, tmp_path: Path) -> tuple[int, str]:
    out = CliRunner().invoke(
        app, ["audit", str(path), "--host", double.api_url, "--settle-s", "0.3", "--out-dir", str(tmp_path)]
    )
    return out.exit_code, out.output


def test_an_unchanged_run_holds_and_a_removed_message_is_reported(tmp_path: Path, double: Double) -> None:
    """A message that was removed from the database is lost for both of its users."""
    run = _recorded(double, tmp_path / "load-a-000.columns", seed=1)
    assert _audit(double, run.path, tmp_path)[0] == ExitCode.HOLDS
    one, other = run.users[:2]
    conversation = conversation_id(one, other)
    api = OpenIMApi(double.api_url, secret=SECRET, admin_user_id=ADMIN)
    gone = next(iter(api.pull(one, conversation, begin=2, end=2)))
    body = {"conversationID": conversation, "seqs": [gone.seq], "userID": one}
    answer = httpx.post(f"{double.api_url}/msg/delete_msg_phsical_by_seq", json=body, headers=api.headers())
    assert answer.json()["errCode"] == 0
    api.close()
    code, text = _audit(double, run.path, tmp_path)
    assert code == ExitCode.VIOLATED
    assert "2 lost" in text
    assert marker(gone.client_message_id) in text


def test_a_server_that_is_down_causes_no_loss(tmp_path: Path) -> None:
    """A failed read proves nothing: the verdict stays, and the failed reads are recorded."""
    with a_double() as double:
        run = _recorded(double, tmp_path / "load-b-000.columns", seed=2)
    code, _ = _audit(double, run.path, tmp_path)
    assert code == ExitCode.HOLDS
    last = max(tmp_path.glob("load-*.columns"))
    ends = [event for batch in ColumnReader(last).batches() for event in batch if event["kind"] == Kind.READ_END]
    assert ends
    assert not any(event["code"] for event in ends)


def test_runs_over_rest_cannot_be_audited(tmp_path: Path) -> None:
    """Neither journals of earlier versions nor columns of a run over REST are read again."""
    earlier = tmp_path / "load-c-000.jsonl"
    earlier.write_text("{}\n")
    for path in (earlier, recorded(tmp_path / "load-c-001.columns", sends=1, stored=stored("r1.0.1"))):
        out = CliRunner().invoke(app, ["audit", str(path), "--host", "http://127.0.0.1:1"])
        assert out.exit_code == ExitCode.USAGE
        assert "over the WebSocket" in out.output
