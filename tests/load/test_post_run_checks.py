"""After a load with a profile the verifier judges the stack, and its verdict counts in the run's exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from load.experiments.plans import read_plan, run_plan
from load.post_run_checks import PostRunVerdict, verify
from load.report import Account
from tests.load.doubled import ADMIN, SECRET, a_double
from verifier.judges.delivery import DeliveryReport, DeliveryTally
from verifier.judges.journal import Header
from verifier.model.verdict import ExitCode

pytestmark = pytest.mark.long


def _profile(path: Path, api_url: str, ws_url: str) -> Path:
    path.write_text(
        f"""
        stack = "loaded"
        phase = "registered"
        history = "sqlite:///{path.parent}/history.db"
        since = {{ registered = 2026-01-01T00:00:00Z }}
        [roles.openim]
        api_url = "{api_url}"
        ws_url = "{ws_url}"
        secret = "{SECRET}"
        admin_user_id = "{ADMIN}"
        [canary]
        journal = "{path.parent}"
        [canary.options]
        load_admin = "{ADMIN}"
        """
    )
    return path


@pytest.mark.parametrize("asked", [True, False])
def test_a_run_with_a_profile_ends_with_the_verifier(tmp_path: Path, asked: bool) -> None:
    """Its headline is in the report, its own report is a file, and what it could not judge makes the run inconclusive."""
    with a_double() as double:
        profile = _profile(tmp_path / "stack.toml", double.api_url, double.ws_url)
        plan = tmp_path / "plan.toml"
        plan.write_text(
            f"""
            out_dir = "{tmp_path}"
            [target]
            profile = "{profile}"
            [load]
            users = 2
            duration_s = 3
            rate = 10
            settle_s = 0.3
            late_most_ms = 2000
            [after]
            verify = {str(asked).lower()}
            """
        )
        code = run_plan(read_plan(plan)).code
    report = json.loads(next(tmp_path.glob("load-*.json")).read_text())
    assert report["delivery"]["deliveries"]["lost"] == 0
    if not asked:
        assert (code, report["after"]) == (ExitCode.HOLDS, None)
        return
    document = json.loads(Path(report["after"]["report"]).read_text())
    assert report["after"]["headline"] == document["headline"]
    # These checks judge the canary's journal, which a load run does not write.
    assert not {"GW-01", "MSG-04", "MSG-05"} & {check["id"] for check in document["checks"]}
    assert code == report["exit_code"] == (ExitCode.HOLDS if document["exit_code"] == 0 else document["exit_code"])


@pytest.mark.parametrize(
    ("after", "code", "says"),
    [
        (None, ExitCode.HOLDS, "accounted for"),
        (PostRunVerdict(exit_code=ExitCode.HOLDS, headline="40 hold"), ExitCode.HOLDS, "40 hold"),
        (PostRunVerdict(exit_code=ExitCode.VIOLATED, headline="1", broken=("MSG-01 x",)), ExitCode.VIOLATED, "does not hold"),
        (PostRunVerdict(exit_code=ExitCode.INCONCLUSIVE, headline="1", unknown=("MSG-01: no",)), ExitCode.INCONCLUSIVE, "MSG-01: no"),
    ],
    ids=["not asked", "holds", "violated", "inconclusive"],
)  # fmt: skip
def test_the_worse_verdict_counts(after: PostRunVerdict | None, code: ExitCode, says: str) -> None:
    """A run without losses does not hide a leak."""
    header = Header(run_id="r", kind="load", stack="s", time_ns=1, monotonic_ns=1)
    seen = DeliveryTally(expected=1, received=1)
    sends = {"sent": 1, "acked": 1, "refused": 0, "unknown_sends": 0, "recovered_sends": 0, "failed_reads": 0}
    delivered = DeliveryReport(**sends, receivers={"b": seen}, problems=(), problems_total=0)
    account = Account(header=header, ended_at=header.started_at, delivery=delivered, order=None, notes=(), after=after)
    assert account.exit_code is code
    assert says in account.to_text()


def test_a_verifier_that_cannot_run_makes_the_run_inconclusive(tmp_path: Path) -> None:
    """A missing profile is named in the headline."""
    after = verify(str(tmp_path / "none.toml"), tmp_path / "verifier.json")
    assert after.exit_code is ExitCode.INCONCLUSIVE
    assert "none.toml" in after.headline
