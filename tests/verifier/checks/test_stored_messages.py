"""MSG-06 and MSG-07 with legacy messages of other shapes, and with OpenIM's own side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.verifier.checks.memory import found, judge, profile_of, verdicts
from verifier.judges.recorder import digest
from verifier.model.verdict import Verdict
from verifier.profile import Profile

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)
AT = NOW.replace(microsecond=0) - timedelta(days=3)
IMPORTED = '[policies]\nhistory_import = "imported"\n'
MONGO = '[roles.openim_mongo]\nurl = "mongodb://127.0.0.1:1"\ndatabase = "openim_v3"\n'


def imported(text: str = "", **more: str) -> Profile:
    """A profile of a platform that imported its history."""
    return profile_of(
        IMPORTED + text,
        roles=MONGO,
        messages="chat_db/table/letters: message_id conversation_id sender_id created_at content",
        scope="chat_db/table/moved: conversation_id openim_id since",
        **more,
    )


def in_openim(text: str, sender: str = "7") -> dict[str, Any]:
    """A message as OpenIM has it."""
    return {
        "doc_id": "si_7_8:0", "slot": 0, "seq": 1, "conversation_id": "si_7_8", "sender_id": sender, "sent_at": AT,
        "content_type": 101, "is_text": True, "digest": digest(text),
    }  # fmt: skip


@pytest.mark.parametrize("content", [{"text": "hello"}, '{"text": "hello"}', "hello"], ids=["document", "json", "text"])
@pytest.mark.parametrize(("there", "breach"), [("hello", False), ("other", True)])
async def test_histories_are_compared_whatever_the_form_of_the_content(content: Any, there: str, breach: bool) -> None:
    """A document, JSON in a column of text, or the text itself."""
    legacy = [
        {"message_id": 1, "conversation_id": 5, "sender_id": 7, "created_at": AT, "content": content, "seq": 1},
    ]
    scope = [{"conversation_id": 5, "openim_id": "si_7_8", "since": NOW - timedelta(days=1)}]
    judged = await judge("MSG-06", imported(), messages=legacy, scope=scope, openim_mongo__msg=[in_openim(there)])
    assert verdicts(judged) == [Verdict.VIOLATED if breach else Verdict.HOLDS]


async def test_nothing_compared_is_not_green() -> None:
    """Moved conversations without a text message on either side are not applicable."""
    scope = [{"conversation_id": 5, "openim_id": "si_7_8", "since": NOW}]
    judged = await judge("MSG-06", imported(), messages=[], scope=scope, openim_mongo__msg=[])
    assert verdicts(judged) == [Verdict.NOT_APPLICABLE]


async def test_senders_are_left_out_where_no_rule_maps_them() -> None:
    """Ids of a column cannot be computed from a message, so time and text are compared, and the coverage says so."""
    legacy = [{"message_id": 1, "conversation_id": 5, "sender_id": 7, "created_at": AT, "content": "hello", "seq": 1}]
    scope = [{"conversation_id": 5, "openim_id": "si_7_8", "since": NOW - timedelta(days=1)}]
    profile = imported('[identity]\nkind = "column"', users="user_db/table/people: user_id openim_user_id")
    (judged,) = await judge(
        "MSG-06", profile, messages=legacy, scope=scope, openim_mongo__msg=[in_openim("hello", "im-77")]
    )
    assert judged.verdict is Verdict.HOLDS
    assert any("who sent a message" in text for text in judged.coverage[0].unseen)


def block(name: str, days: float, filled: int = 3) -> dict[str, Any]:
    """A document whose newest message is this old."""
    return {
        "doc_id": f"{name}:0",
        "conversation_id": name,
        "filled": filled,
        "newest_at": NOW - timedelta(days=days),
        "highest": filled,
    }


@pytest.mark.parametrize(
    ("blocks", "verdict", "count"),
    [
        ([block("a", 10)], Verdict.HOLDS, 0),
        ([block("a", 365.5)], Verdict.HOLDS, 0),
        ([block("a", 400), block("b", 500, 7)], Verdict.VIOLATED, 10),
        ([], Verdict.NOT_APPLICABLE, 0),
    ],
    ids=["young", "waits-for-the-job", "old", "empty"],
)
async def test_openims_own_messages_are_judged_too(blocks: list[dict[str, Any]], verdict: Verdict, count: int) -> None:
    """A document is deleted when its newest message is too old; the one of today waits for the nightly job."""
    judged = await judge("MSG-07", imported(), messages=[], openim_mongo__msg_block=blocks)
    assert verdicts(judged) == [Verdict.HOLDS, verdict]
    if count:
        assert found(judged) == [f"{count} messages in OpenIM are older than OpenIM keeps messages; the oldest is in b"]


async def test_openims_side_is_judged_without_legacy_messages() -> None:
    """The legacy store may be gone; before the cut-over, OpenIM has nothing to judge."""
    profile = profile_of(IMPORTED, roles=MONGO)
    assert verdicts(await judge("MSG-07", profile, openim_mongo__msg_block=[block("a", 400)])) == [Verdict.VIOLATED]
