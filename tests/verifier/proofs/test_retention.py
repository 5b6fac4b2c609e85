"""Messages beyond retention: what may be hidden, or has no readable time, is not taken for young."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.verifier.proofs.world import Counted, Table, World
from verifier.model.values import Unreadable
from verifier.model.verdict import Verdict
from verifier.profile import parse_profile
from verifier.proofs import Retention
from verifier.stores.errors import StoreError
from verifier.stores.protocols import Completeness

pytestmark = pytest.mark.anyio

PROFILE = parse_profile(
    """
stack = "s"
phase = "baseline"
[roles.chat_db]
url = "postgresql://127.0.0.1:1/x"
connect_timeout_s = 0.2
[relations.messages]
role = "chat_db"
table = "messages"
key = "id"
columns = { id = "id", conversation_id = "c", created_at = { column = "at", type = "timestamp" } }
[relations.neighbours]
role = "chat_db"
table = "neighbours"
key = "conversation_id"
columns = { conversation_id = "c" }
"""
)
PROOF = Retention(days=30, source="the profile", next_step="Raise it.")


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the verifier."""
    return "asyncio"


def messages(*ages_d: Any) -> list[dict[str, Any]]:
    """Messages of these ages in days."""
    now = datetime.now(UTC)
    times = [age if isinstance(age, str) else now - timedelta(days=age) for age in ages_d]
    return [{"id": index, "conversation_id": f"c{index}", "created_at": at} for index, at in enumerate(times)]


def world(
    rows: list[dict[str, Any]], *staying: str, account: Completeness | None = None, neighbours: Any = None
) -> World:
    """Messages, and the conversations that stay."""
    table = Counted(rows, label="messages", account=lambda table: account or Completeness())
    stays = neighbours or Table([{"conversation_id": name} for name in staying], key=("conversation_id",))
    return World(PROFILE, messages=table, neighbours=stays)


async def test_old_messages_are_one_finding_without_those_that_stay() -> None:
    """Messages of neighbours are not imported."""
    assert (await world(messages(40, 1)).run(PROOF)).findings_total == 1
    assert (await world(messages(40, 1), "c0").run(PROOF)).verdict is Verdict.HOLDS


@pytest.mark.parametrize("account", [Completeness(hidden=("RLS",)), Completeness(counted=7)])
async def test_hidden_messages_may_be_old(account: Completeness) -> None:
    """It does not hold; and an old message is a finding all the same."""
    assert (await world(messages(25), account=account).run(PROOF)).verdict is Verdict.INCONCLUSIVE
    assert (await world(messages(40), account=account).run(PROOF)).verdict is Verdict.VIOLATED


async def test_a_time_that_cannot_be_read_may_be_old() -> None:
    """It is counted."""
    judgement = await world(messages(25, Unreadable("x", "why"))).run(PROOF)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "created_at of 1 messages cannot be read" in judgement.reason


async def test_neighbours_that_may_be_hidden_accuse_nobody() -> None:
    """The engine makes the check inconclusive."""
    hiding = Counted(
        [], key=("conversation_id",), label="neighbours", account=lambda table: Completeness(hidden=("RLS",))
    )
    with pytest.raises(StoreError, match="which conversations are neighbours"):
        await world(messages(40), neighbours=hiding).run(PROOF)
