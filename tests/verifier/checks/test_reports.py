"""RPT-01: reports that name a message by conversation and seq, or things by OpenIM's ids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verifier.checks.memory import found, judge, profile_of
from tests.verifier.proofs.world import Table
from verifier.model.verdict import Verdict

pytestmark = pytest.mark.anyio

MONGO = '[roles.openim_mongo]\nurl = "mongodb://127.0.0.1:1"\ndatabase = "openim_v3"\n'
PROFILE = profile_of(
    '[inventory]\nopenim_users = ["bot*"]',
    roles=MONGO,
    users="user_db/table/people.accounts: user_id openim_user_id",
    reports="chat_db/table/talk.complaints: report_id kind target_id conversation_ref seq archived snapshot",
)
WITHOUT_DATABASE = profile_of(
    users="user_db/table/people.accounts: user_id openim_user_id",
    reports="chat_db/table/talk.complaints: report_id kind target_id conversation_ref seq archived snapshot",
)
BLOCKS = [{"doc_id": "si_a_b:0", "conversation_id": "si_a_b", "highest": 40}]
SEQS = [
    {"record": "1", "conversation_id": "si_a_b", "max_seq": 90, "min_seq": 0},
    {"record": "2", "conversation_id": "sg_old", "max_seq": 90, "min_seq": 91},
]
IDS = [{"place": "si_a_b:7", "message_id": "client-7", "conversation_id": "si_a_b"}]


def report(kind: str = "message", target: Any = None, place: Any = (None, None), **more: Any) -> dict[str, Any]:
    """A report."""
    row = {"report_id": 1, "kind": kind, "target_id": target, "conversation_ref": place[0], "seq": place[1]}
    return {**row, "archived": None, "snapshot": None, **more}


async def about(row: dict[str, Any]) -> list[str]:
    """What is found of one report; the store would select it by its kind."""
    kinds = {kind: [row] if row["kind"] == kind else [] for kind in ("user", "group", "message")}
    users = [{"user_id": "7", "openim_user_id": "u7"}]
    texts: list[str] = []
    for kind, rows in kinds.items():
        if rows:
            judged = await judge(
                "RPT-01", PROFILE, reports=rows, users=users, openim__groups=[], openim_mongo__msg_id=IDS,
                openim_mongo__msg_block=BLOCKS, openim_mongo__seq=SEQS,
            )  # fmt: skip
            texts = found([judged[("user", "group", "message").index(kind)]])
    return texts


@pytest.mark.parametrize(
    "row",
    [
        report(place=("si_a_b", 7)),
        report(place=("si_a_b", 40)),
        report(target="si_a_b:12"),
        report(place=("sg_old", 30)),
        report(target="client-7"),
        report(place=("si_a_b", 41), snapshot={"text": "was here"}),
        report(place=("si_x_y", 1), archived=True),
        report("user", "7"),
        report("user", "u7"),
        report("user", "bot-9"),
    ],
    ids=["slot", "emptied", "one-text", "retained", "id", "snapshot", "archived", "user", "openims-user", "declared"],
)
async def test_what_exists_or_existed_is_no_breach(row: dict[str, Any]) -> None:
    """A message that was deleted since, or fell under retention, was there when it was reported."""
    assert await about(row) == []


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (report(place=("si_a_b", 41)), "seq 41 of conversation si_a_b"),
        (report(place=("si_a_b", 0)), "seq 0 of conversation si_a_b"),
        (report(place=("si_x_y", 1)), "seq 1 of conversation si_x_y"),
        (report(target="sg_old:91"), "seq 91 of conversation sg_old"),
        (report(target="client-8"), "client-8"),
        (report(target="client-8", place=("legacy-conversation", 1)), "client-8"),
        (report("user", "u8"), "u8"),
    ],
)
async def test_what_never_existed_is_a_breach(row: dict[str, Any], named: str) -> None:
    """A seq that was not reached, an unknown conversation, an unknown id."""
    assert await about(row) == [f"report 1 is about {row['kind']} {named}, which does not exist"]


async def test_a_place_that_cannot_be_looked_up_is_not_accused() -> None:
    """Without OpenIM's database nobody answers, so the check is inconclusive."""
    silent = Table([], key=("place",), unanswered=frozenset({"si_a_b:41"}))
    judged = await judge(
        "RPT-01",
        WITHOUT_DATABASE,
        reports=[report(place=("si_a_b", 41))],
        users=[],
        openim__groups=[],
        openim__messages=silent,
    )
    assert found([judged[2]]) == []
    assert judged[2].verdict is Verdict.INCONCLUSIVE
