"""What `doctor` shows of a broker user's privileges."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from fixtures.services.rabbitmq import MISSING, find_rabbitmq
from tests.verifier.stores.rabbitmq.world import BrokerWorld

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_rabbitmq() is None, reason=MISSING)]


async def test_privileges(broker: BrokerWorld) -> None:
    """A monitoring user is ok as far as the broker shows, an administrator is too much, a user without a tag too
    little."""
    async with broker.store() as store:
        assert [item.state for item in await store.privileges()] == ["unknown"]
    async with broker.store(management_url=SecretStr(broker.grant.admin_management)) as store:
        found = {item.what: item for item in await store.privileges()}
    assert {item.state for item in found.values()} == {"too_many"}
    assert f"configure '.*' in {broker.vhost}" in found["permissions in the vhosts"].detail
    user = urlsplit(broker.grant.verifier_management).username
    broker.manage("PUT", f"/users/{user}", {"password": "p", "tags": "management"})
    login = broker.grant.verifier_management.replace(urlsplit(broker.grant.verifier_management).password or "", "p")
    async with broker.store(management_url=SecretStr(login)) as store:
        assert {item.what: item.state for item in await store.privileges()}["tag monitoring"] == "missing"
