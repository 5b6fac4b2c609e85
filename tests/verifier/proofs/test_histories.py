"""Imported histories: differences are findings unless messages may be hidden, or their times cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.verifier.proofs.world import PROFILE, Counted, Table, World, keys
from verifier.model.invariant import Row
from verifier.model.values import Unreadable
from verifier.model.verdict import Verdict
from verifier.proofs import Histories
from verifier.proofs.histories import MessageKey
from verifier.stores.protocols import Completeness

pytestmark = pytest.mark.anyio

SENT = datetime(2026, 1, 1, tzinfo=UTC)


def key_of(row: Row) -> MessageKey | None:
    """Sender, time and text."""
    return (row["sender_id"], int(row["created_at"].timestamp() * 1000), row["content"])


PROOF = Histories(legacy=key_of, openim=key_of, not_before=None, sample=5)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


def messages(*texts: str, at: Any = SENT) -> list[dict[str, Any]]:
    """Messages of one conversation."""
    return [{"message_id": text, "sender_id": "u", "created_at": at, "content": text, "seq": 1} for text in texts]


def world(legacy: Any, openim: Any, since: Any = datetime(2026, 6, 1, tzinfo=UTC)) -> World:
    """One moved conversation."""
    scope = Table([{"conversation_id": "c", "openim_id": "si_a_b", "since": since}], key=("conversation_id",))
    return World(PROFILE, **{"scope": scope, "messages": legacy, "openim_mongo.msg": openim})


async def test_a_missing_message_is_a_finding_and_equal_histories_hold() -> None:
    """Message for message."""
    assert (await world(Table(messages("a", "b")), Table(messages("a", "b"))).run(PROOF)).verdict is Verdict.HOLDS
    assert keys(await world(Table(messages("a", "b")), Table(messages("a"))).run(PROOF)) == ["c -> si_a_b"]


async def test_messages_that_may_be_hidden_are_no_differences() -> None:
    """On whichever side."""
    hiding = Counted(messages("a"), label="msg", account=lambda table: Completeness(hidden=("a lagging secondary",)))
    for pair in ((Table(messages("a", "b")), hiding), (hiding, Table(messages("a", "b")))):
        judgement = await world(*pair).run(PROOF)
        assert judgement.verdict is Verdict.INCONCLUSIVE
        assert "a lagging secondary" in judgement.reason


async def test_times_that_cannot_be_read_are_counted() -> None:
    """A message without a readable time is not compared; a conversation without one is not chosen."""
    odd = Table(messages("a", at=Unreadable("x", "the unit looks wrong")))
    judgement = await world(odd, Table(messages())).run(PROOF)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "1 times cannot be read" in judgement.reason
    unknown = await world(Table(messages()), Table(messages()), since=Unreadable("x", "why")).run(PROOF)
    assert unknown.verdict is Verdict.INCONCLUSIVE
