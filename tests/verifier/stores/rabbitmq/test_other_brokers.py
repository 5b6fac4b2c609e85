"""Brokers that are not at hand: RabbitMQ 4, statistics switched off, clusters with a node down, proxies in front.

What they do not show is unknown: never zero, never a fault of the verifier.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.verifier.stores.nights import Nights
from tests.verifier.stores.rabbitmq.management import NODE, Answers, four, management
from verifier.model.verdict import Verdict
from verifier.profile.relations import Queue
from verifier.proofs.absence.proof import Absence
from verifier.stores.errors import Denied, StoreError
from verifier.stores.protocols import StoreObject
from verifier.stores.rabbitmq.observer import QueueObserver

pytestmark = pytest.mark.anyio

QUEUE = Queue(name="chat.message.notify", exchange="chat")
ONE = "/api/queues///chat.message.notify"
LISTED = "/api/queues//"


def nights(answers: Answers, queue: Queue = QUEUE) -> Nights:
    """An absence proof over the queue of a double."""
    store = management(answers)
    proof = Absence(target="queue", kind="queue", operations=frozenset({"publish", "declare"}))
    return Nights(proof, QueueObserver(store, queue, lag_s=0), queue, store)


async def two_nights(change: Any, queue: Queue = QUEUE, answers: Answers | None = None) -> Any:
    """The judgement after `change` of the answers."""
    answers = answers or four()
    runs = nights(answers, queue)
    await runs.baseline()
    change(answers)
    return await runs.night()


async def test_a_healthy_broker_of_version_4_holds() -> None:
    """It has no message sequence; its counters prove silence."""
    judgement = await two_nights(lambda answers: None)
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.coverage[0].unseen == ()


def _publish(answers: Answers) -> None:
    answers[ONE]["message_stats"]["publish"] += 1


def _recreate(answers: Answers) -> None:
    answers[ONE]["message_stats"] = {}


def _switch_off(answers: Answers) -> None:
    answers["/api/overview"] |= {"disable_stats": True}
    for name in ("message_stats", "churn_rates", "queue_totals"):
        del answers["/api/overview"][name]
    answers["/api/nodes"] = [{"name": NODE, "type": "disc", "running": True}]
    answers[ONE] = {"name": "chat.message.notify", "vhost": "/", "type": "classic", "state": "live", "arguments": {}}


def _down(answers: Answers) -> None:
    answers[ONE] = {"name": "chat.message.notify", "vhost": "/", "type": "classic", "state": "down", "arguments": {}}


def _lose_a_node(answers: Answers) -> None:
    answers["/api/nodes"].append({"name": "rabbit@b", "running": False, "partitions": []})


def _restart(answers: Answers) -> None:
    answers["/api/nodes"][0]["uptime"] = 5
    answers["/api/overview"]["message_stats"] = {"publish": 1}


def _count_nothing(answers: Answers) -> None:
    answers["/api/overview"] |= {"message_stats": {}, "queue_totals": {"messages": 4}}


def _unroutable(answers: Answers) -> None:
    answers["/api/exchanges///chat"]["message_stats"] = {"publish_in": 8, "publish_out": 3}
    answers["/api/overview"]["message_stats"]["return_unroutable"] = 3


def _declare_again(answers: Answers) -> None:
    answers["/api/overview"]["churn_rates"] |= {"queue_created": 3, "queue_deleted": 1}


@pytest.mark.parametrize(
    ("change", "verdict", "why"),
    [
        (_publish, Verdict.VIOLATED, ""),
        (_recreate, Verdict.INCONCLUSIVE, "counter publish went back"),
        (_switch_off, Verdict.INCONCLUSIVE, "counters are gone"),
        (_down, Verdict.INCONCLUSIVE, "its state is down"),
        (_lose_a_node, Verdict.INCONCLUSIVE, "broker changed"),
        (_restart, Verdict.INCONCLUSIVE, "rabbit@a was restarted"),
        (_count_nothing, Verdict.INCONCLUSIVE, "counters are gone"),
        (_unroutable, Verdict.INCONCLUSIVE, "of 3 more messages that exchange chat took, at least 3 reached no queue"),
        (_declare_again, Verdict.HOLDS, ""),
    ],
)
async def test_what_happens_between_two_nights(change: Any, verdict: Verdict, why: str) -> None:
    """Each is seen, or said."""
    judgement = await two_nights(change)
    assert (judgement.verdict, why in judgement.reason) == (verdict, True), judgement.reason
    if change is _declare_again:
        assert "one of the 1 that were deleted" in judgement.coverage[0].unseen[0]


@pytest.mark.parametrize("change", [_switch_off, _down, _lose_a_node, _count_nothing])
async def test_a_broker_that_never_shows_it(change: Any) -> None:
    """Equal answers prove nothing where the broker does not count; it is not an accusation either."""
    answers = four(change)
    judgement = await two_nights(lambda answers: None, answers=answers)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "too little evidence" in judgement.reason


@pytest.mark.parametrize("beside", [_lose_a_node, _unroutable])
async def test_a_counted_publish_counts_beside_what_is_unknown(beside: Any) -> None:
    """What is proven is a breach, whatever else cannot be known."""
    answers = four(_lose_a_node) if beside is _lose_a_node else four()

    def change(changed: Answers) -> None:
        _publish(changed)
        if beside is _unroutable:
            beside(changed)

    assert (await two_nights(change, answers=answers)).verdict is Verdict.VIOLATED


async def test_statistics_that_were_off_are_a_new_beginning() -> None:
    """What was published before they were switched on is unknown."""
    answers = four(_switch_off)

    def switch_on(changed: Answers) -> None:
        changed.clear()
        changed |= four()

    judgement = await two_nights(switch_on, queue=QUEUE.model_copy(update={"only_queue": True}), answers=answers)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "statistics were off in the last run" in judgement.reason


async def test_a_gone_queue_without_statistics_is_unknown() -> None:
    """Nobody counts who still publishes to it."""
    answers = four(_switch_off)
    del answers[ONE]
    judgement = await two_nights(lambda answers: None, answers=answers)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "switched off" in judgement.reason


@pytest.mark.parametrize("lagging", [True, False])
async def test_samples_that_are_apart_are_no_hint(lagging: bool) -> None:
    """What an exchange took is sampled apart from what it gave away. A second look decides."""
    answers = four()
    looks = iter([{"publish_in": 9, "publish_out": 5}, {"publish_in": 9, "publish_out": 7 if lagging else 5}])

    def busy(changed: Answers) -> None:
        changed["/api/overview"]["message_stats"]["drop_unroutable"] = 9
        first = dict(changed["/api/exchanges///chat"])
        changed["/api/exchanges///chat"] = lambda _: httpx.Response(200, json={**first, "message_stats": next(looks)})

    judgement = await two_nights(busy, answers=answers)
    assert judgement.verdict is (Verdict.HOLDS if lagging else Verdict.INCONCLUSIVE)


async def test_without_a_date_the_times_are_the_verifiers() -> None:
    """A proxy removes the header Date: a limitation, and not a crash."""
    store = management(four(), date=None)
    before = datetime.now(UTC)
    assert before <= await store.clock() <= before + timedelta(seconds=30)
    found = await QueueObserver(store, QUEUE, lag_s=0).read()
    assert any("clock" in text for text in found.limitations)
    assert not found.inconclusive_because
    assert await management(four(), date="yesterday").version() == "RabbitMQ 4.2.1"


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "text",
        {"hello": "world"},
        httpx.Response(200, text="<html>log in</html>"),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(302, headers={"location": "https://sso.example/"}),
        httpx.Response(429, headers={"retry-after": "30"}, text="slow down"),
        httpx.Response(502, text="<html>bad gateway</html>"),
    ],
)
@pytest.mark.parametrize("path", ["/api/overview", "/api/nodes", "/api/vhosts", LISTED, ONE])
async def test_strange_answers_are_errors_of_the_store(path: str, answer: Any) -> None:
    """Whatever a proxy answers in the broker's place, it is not taken for the broker's."""
    store = management(four(lambda changed: changed.update({path: answer})))
    found: list[StoreObject] = []
    with suppress(StoreError):
        await QueueObserver(store, QUEUE, lag_s=0).read()
        found = list(await store.listing("queues"))
    silent = {"/api/nodes": [], LISTED: []}.get(path) == answer  # what a broker may answer too
    assert silent or not any(item.kind == "queue" for item in found)
    assert silent or not found or found[0].kind == "unreadable"


async def test_a_body_without_end_is_not_read() -> None:
    """The limit of all HTTP clients counts here too."""
    store = management(
        four(lambda answers: answers.update({"/api/overview": httpx.Response(200, content=b" " * (33 << 20))}))
    )
    with pytest.raises(StoreError, match="more than 32 MiB"):
        await store.get("/api/overview")


async def test_behind_a_path_prefix() -> None:
    """A proxy serves the API under /mq, with and without /api in the URL."""
    for url in ("http://u:p@proxy/mq", "http://u:p@proxy/mq/", "http://u:p@proxy/mq/api/"):
        store = management({f"/mq{path}": answer for path, answer in four().items()}, management_url=url)
        await store.connect()
        assert [item.name for item in await store.listing("queues")] == ["chat.message.notify@/"]


def _listed(answers: Answers, **found: Any) -> None:
    answers[LISTED]["items"] = [{"name": "chat.message.notify", "vhost": "/", "type": "classic", **found}]


async def test_numbers_of_messages_without_statistics() -> None:
    """The queues know them. One that is down does not answer, and its number is unknown, not zero."""
    plain = four(lambda answers: _listed(answers, state="running"))[LISTED]
    totals = four(lambda answers: _listed(answers, state="running", messages=5, messages_ready=5))[LISTED]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=totals if "enable_queue_totals" in request.url.params else plain)

    (item,) = await management(four(lambda answers: answers.update({LISTED: answer}))).listing("queues")
    assert item.attributes["messages"] == 5
    (item,) = await management(four(lambda answers: _listed(answers, state="down"))).listing("queues")
    assert (item.attributes["messages"], item.attributes["state"]) == (None, "down")


def _page(request: httpx.Request, names: list[str], total: int) -> httpx.Response:
    page, size = int(request.url.params["page"]), int(request.url.params["page_size"])
    items = [{"name": name, "vhost": "/", "messages": 0} for name in names[(page - 1) * size : page * size]]
    pages = max(1, -(-len(names) // size))
    return httpx.Response(
        200, json={"items": items, "page_count": pages, "filtered_count": total, "total_count": total}
    )


async def test_a_list_that_shrinks_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue is deleted between two pages, so that another one is on neither of them: read again, or said."""
    monkeypatch.setattr("verifier.stores.rabbitmq.listing.PAGE_SIZE", 2)
    names = ["a", "b", "c", "d", "e"]
    shrinking = [True]

    def once(request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] == "2" and shrinking:
            shrinking.clear()
            names.remove("a")
        return _page(request, names, len(names))

    def always(request: httpx.Request) -> httpx.Response:
        return _page(request, names[1:] if request.url.params["page"] == "2" else names, len(names))

    found = await management(four(lambda answers: answers.update({LISTED: once}))).listing("queues")
    assert {item.name for item in found} >= {f"{name}@/" for name in names}
    names = ["a", "b", "c", "d", "e"]
    (item,) = await management(four(lambda answers: answers.update({LISTED: always}))).listing("queues")
    assert (item.kind, "of 5 were listed" in item.name) == ("unreadable", True)


async def test_a_proxy_that_drops_the_query() -> None:
    """It gets all queues at once, as a list."""
    everything = four()[LISTED]["items"]
    (item,) = await management(four(lambda answers: answers.update({LISTED: everything}))).listing("queues")
    assert item.attributes["name"] == "chat.message.notify"


async def test_a_user_who_does_not_see_all_vhosts() -> None:
    """Without the tag monitoring the broker leaves out the vhosts of others, so that no list of them is whole."""
    limited = {"name": "v", "tags": "management"}
    found = await management(four(lambda answers: answers.update({"/api/whoami": limited}))).listing("queues")
    assert [item.name for item in found if item.kind == "unreadable"] == ["vhosts of others"]


async def test_a_vhost_with_a_name_that_no_path_can_have() -> None:
    """It is unreadable; the others are read."""
    found = await management(four(lambda answers: answers["/api/vhosts"].append({"name": ".."}))).listing("queues")
    assert [(item.kind, item.name) for item in found] == [
        ("unreadable", "vhost .."),
        ("queue", "chat.message.notify@/"),
    ]


@pytest.mark.parametrize(
    ("tags", "permissions", "topics", "states"),
    [
        (["monitoring"], None, None, {"permissions in the vhosts": "unknown"}),
        (["policymaker"], None, None, {"tag policymaker": "too_many", "tag monitoring": "missing"}),
        (["administrator"], [], [], {"tag administrator": "too_many", "permissions in the vhosts": "ok"}),
        (["monitoring"], [("^$", "", "^$")], [], {"permissions in the vhosts": "ok"}),
        (["monitoring"], [("^$", "^$", r"^verifier\.tap$")], [], {"permissions in the vhosts": "notice"}),
        (["monitoring"], [("^$", "^$", ".*")], [], {"permissions in the vhosts": "too_many"}),
        (["monitoring"], [("^$", "^$", "^chat")], [], {"permissions in the vhosts": "too_many"}),
        (["monitoring"], [("^$", "^amq", "^$")], [], {"permissions in the vhosts": "too_many"}),
        (["monitoring"], [("x", "^$", "^$")], [], {"permissions in the vhosts": "too_many"}),
        (["monitoring"], [("^$", "^$", "^$")], ["chat.#"], {"topic permissions": "notice"}),
    ],
)
async def test_privileges(tags: list[str], permissions: Any, topics: list[str] | None, states: dict[str, str]) -> None:
    """Tags, permissions and topic permissions that allow writing, consuming included; unknown where they are not shown."""
    answers = four(lambda changed: changed.update({"/api/whoami": {"name": "v", "tags": tags}}))
    answers["/api/users/v/permissions"] = httpx.Response(401, json={"reason": "Not administrator user"})
    if permissions is not None:
        verbs = ("configure", "write", "read")
        answers["/api/users/v/permissions"] = [
            {"vhost": "/", **dict(zip(verbs, entry, strict=True))} for entry in permissions
        ]
        answers["/api/users/v/topic-permissions"] = [
            {"vhost": "/", "exchange": "chat", "write": topic, "read": "^$"} for topic in topics or ()
        ]
    found = {item.what: item.state for item in await management(answers).privileges()}
    assert found.items() >= states.items()


async def test_a_refusal_names_the_permission() -> None:
    """The vhost without an entry for the user."""
    denied = httpx.Response(
        401, json={"error": "not_authorised", "reason": "User not authorised to access virtual host"}
    )
    store = management(four(lambda answers: answers.update({ONE: denied})))
    with pytest.raises(Denied, match="set_permissions -p VHOST"):
        await QueueObserver(store, QUEUE, lag_s=0).read()


async def test_a_snapshot_of_an_earlier_version_fits() -> None:
    """Histories keep snapshots in which the exchange was not counted this way: nothing is accused."""
    store = management(four())
    observer = QueueObserver(store, QUEUE.model_copy(update={"only_queue": True}), lag_s=0)
    now = await observer.read()
    state = json.loads(now.position)
    del state["exchange"]
    counters = {name: count for name, count in now.counters.items() if not name.startswith("exchange")}
    before = type(now)(now.at, now.continuity, counters, json.dumps(state))
    assert [item async for item in observer.witnesses(before, now)] == []
    assert isinstance((await store.listing("queues"))[0], StoreObject)
