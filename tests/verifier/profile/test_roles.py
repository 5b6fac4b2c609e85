"""Roles with settings that contradict each other are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from verifier.profile.relations import Queue
from verifier.profile.roles import BrokerRole


def broker(**settings: Any) -> BrokerRole:
    """A broker's role."""
    return BrokerRole.model_validate({"management_url": "http://u:p@mq", **settings})


@pytest.mark.parametrize(
    ("amqp_url", "vhost"),
    [
        ("amqp://u:p@mq", "chat"),
        ("amqp://u:p@mq/", "chat"),
        ("amqp://u:p@mq/", "/"),
        ("amqp://u:p@mq/%2F", "/"),
        ("amqp://u:p@mq/%2f", "/"),
        ("amqps://u:p@mq:5671/chat?heartbeat=5", "chat"),
        ("amqp://u:p@mq/a%2Fb%25%20%C3%BC", "a/b% ü"),
        ("amqp://u:p@mq/..", ".."),
        ("nonsense", "chat"),
    ],
)
def test_one_vhost(amqp_url: str, vhost: str) -> None:
    """The URL names the same virtual host, or none."""
    assert broker(amqp_url=amqp_url, vhost=vhost).vhost == vhost


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"amqp_url": "amqp://u:s3cret@mq/shop", "vhost": "chat"},
            "names the virtual host 'shop', and vhost is 'chat'",
        ),
        ({"amqp_url": "amqp://u:s3cret@mq/chat"}, "Set vhost = 'chat'"),
        ({"amqp_url": "amqp://u:s3cret@mq/%2F", "vhost": "chat"}, "names the virtual host '/'"),
        ({"amqp_url": "amqp://u:s3cret@mq/Chat", "vhost": "chat"}, "names the virtual host 'Chat'"),
        ({"amqp_url": "amqp://u:s3cret@mq/%252F", "vhost": "/"}, "names the virtual host '%2F'"),
        ({"vhost": ""}, "the default virtual host is '/'"),
        ({"vhost": "%2F"}, "write vhost = '/'"),
    ],
)
def test_two_vhosts(settings: dict[str, str], says: str) -> None:
    """Half of the checks would look at the wrong one. The message shows no password."""
    with pytest.raises(ValidationError) as caught:
        broker(**settings)
    said = str(caught.value.errors()[0]["msg"])  # what the loader shows
    assert says in said
    assert "s3cret" not in said


def test_queues() -> None:
    """A queue has a name, and only an exchange can be for one queue alone."""
    with pytest.raises(ValidationError, match="at least 1 character"):
        Queue(name="")
    with pytest.raises(ValidationError, match="needs exchange"):
        Queue(name="q", only_queue=True)
    assert Queue(name="q", exchange="e", only_queue=True).only_queue
