"""Requests and passive declares on a live broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from fixtures.stack.ports import claim_port, release_port
from tests.verifier.stores.rabbitmq.world import BrokerWorld, names
from verifier.stores.errors import Denied, StoreError, Unreachable

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]


async def test_clock_and_version(broker: BrokerWorld) -> None:
    """The broker's time, precise to half a second, and its product."""
    async with broker.store() as store:
        assert abs(datetime.now(UTC) - await store.clock()) < timedelta(seconds=2)
        assert (await store.version()).startswith("RabbitMQ 3.")


async def test_passive_declare(broker: BrokerWorld) -> None:
    """Absent, present, exclusive or unknown; asking creates nothing."""
    async with broker.store() as store, broker.channel() as channel:
        await channel.declare_queue("mine", exclusive=True)
        await channel.declare_queue("shared")
        states = {
            name: (await store.passive_declare(broker.vhost, name)).state for name in ("mine", "shared", "neither")
        }
        assert states == {"mine": "exclusive", "shared": "present", "neither": "absent"}
        assert (await store.passive_declare("no-such-vhost", "shared")).state == "unknown"
        assert names(await store.listing("queues"), broker.vhost) == {f"mine@{broker.vhost}", f"shared@{broker.vhost}"}
    async with broker.store(amqp_url=None) as store:
        assert (await store.passive_declare(broker.vhost, "shared")).state == "unknown"


async def test_wrong_password(broker: BrokerWorld) -> None:
    """The error names the role and not the password."""
    url = urlsplit(broker.grant.verifier_management)
    wrong = f"http://{url.username}:not-the-password@{url.hostname}:{url.port}"
    with pytest.raises(Denied, match=r"roles\.broker\.management_url") as caught:
        async with broker.store(management_url=SecretStr(wrong)):
            pass
    assert "not-the-password" not in str(caught.value)


async def test_a_broker_that_is_down_is_unreachable(broker: BrokerWorld) -> None:
    """Also a port that is not that of the management API."""
    port = claim_port()
    with pytest.raises(Unreachable, match="management plugin enabled"):
        async with broker.store(management_url=SecretStr(f"http://a:b@127.0.0.1:{port}")):
            pass
    release_port(port)
    amqp = urlsplit(broker.grant.verifier_amqp)
    with pytest.raises(StoreError, match=r"roles\.broker\.management_url"):
        async with broker.store(management_url=SecretStr(f"http://a:b@127.0.0.1:{amqp.port}")):
            pass
