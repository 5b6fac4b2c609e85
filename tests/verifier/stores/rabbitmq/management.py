"""A double of RabbitMQ's management API: fixed answers by path, for versions and clusters that are not at hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import httpx

from verifier.profile.roles import BrokerRole
from verifier.stores.http import AllowListTransport
from verifier.stores.rabbitmq.store import RabbitMQStore

DATE = "Tue, 24 Nov 2026 00:09:29 GMT"
NODE = "rabbit@a"

# RabbitMQ 4.2, as its API documents: no backing_queue_status since 3.12.7 and 3.13, statistics on.
FOUR: Mapping[str, Any] = {
    "/api/whoami": {"name": "verifier", "tags": ["monitoring"], "is_internal_user": True},
    "/api/overview": {
        "management_version": "4.2.1",
        "rates_mode": "basic",
        "product_version": "4.2.1",
        "product_name": "RabbitMQ",
        "rabbitmq_version": "4.2.1",
        "cluster_name": "rabbit@a",
        "default_queue_type": "classic",
        "release_series_support_status": "supported",
        "disable_stats": False,
        "is_op_policy_updating_enabled": True,
        "enable_queue_totals": False,
        "message_stats": {"publish": 7, "drop_unroutable": 1, "return_unroutable": 0},
        "churn_rates": {"queue_created": 2, "queue_declared": 2, "queue_deleted": 0},
        "queue_totals": {"messages": 0},
    },
    "/api/nodes": [{"name": NODE, "running": True, "os_pid": "7", "uptime": 60_000, "enabled_plugins": []}],
    "/api/vhosts": [{"name": "/"}],
    "/api/queues//": {
        "items": [
            {
                "name": "chat.message.notify",
                "vhost": "/",
                "type": "quorum",
                "state": "running",
                "durable": True,
                "exclusive": False,
                "auto_delete": False,
                "arguments": {"x-queue-type": "quorum"},
                "consumers": 0,
                "messages": 0,
                "message_stats": {"publish": 3, "deliver_get": 3},
            }
        ],
        "page": 1,
        "page_count": 1,
        "page_size": 500,
        "filtered_count": 1,
        "total_count": 1,
        "item_count": 1,
    },
    "/api/queues///chat.message.notify": {
        "name": "chat.message.notify",
        "vhost": "/",
        "type": "quorum",
        "state": "running",
        "arguments": {"x-queue-type": "quorum"},
        "leader": NODE,
        "members": [NODE],
        "online": [NODE],
        "messages": 0,
        "message_stats": {"publish": 3, "deliver_get": 3},
    },
    "/api/exchanges///chat": {
        "name": "chat",
        "vhost": "/",
        "type": "topic",
        "arguments": {},
        "message_stats": {"publish_in": 5, "publish_out": 3},
    },
    "/api/exchanges//": [],
    "/api/bindings//": [],
    "/api/policies//": [],
    "/api/operator-policies//": [],
    "/api/consumers//": [],
}

Answers = dict[str, Any]


def four(change: Callable[[Answers], None] = lambda answers: None) -> Answers:
    """The answers of RabbitMQ 4, changed."""
    answers = copy.deepcopy(dict(FOUR))
    change(answers)
    return answers


def management(answers: Mapping[str, Any], *, date: str | None = DATE, **role: Any) -> RabbitMQStore:
    """A store whose network is the double. A path without an answer is 404; an answer may be a response, or made from the
    request."""
    store = RabbitMQStore(
        "broker", BrokerRole.model_validate({"management_url": "http://me:secret@broker:15672", **role})
    )

    def respond(request: httpx.Request) -> httpx.Response:
        answer = answers.get(unquote(request.url.raw_path.decode().partition("?")[0]))
        answer = answer(request) if callable(answer) else answer
        if isinstance(answer, httpx.Response):
            return answer
        headers = {} if date is None else {"date": date}
        if answer is None:
            return httpx.Response(404, json={"error": "Object Not Found"}, headers=headers)
        return httpx.Response(200, json=answer, headers=headers)

    guard = store._client._transport
    assert isinstance(guard, AllowListTransport)
    guard._inner = httpx.MockTransport(respond)
    return store
