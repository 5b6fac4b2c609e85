"""Row "RabbitMQ" [D12]: the chat queue is removed, notification.push carries no chat, and a push arrives once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from verifier.checks.chat_ways import ChatWays
from verifier.checks.registry import NotApplicable, check
from verifier.judges.push_content import chat_fields, type_of
from verifier.judges.pushes import judge_push_once, judge_push_types
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.models import Profile
from verifier.profile.relations import Queue
from verifier.proofs import Absence, Delivery, Inventory, Rule
from verifier.proofs.inventory import Approved
from verifier.stores.protocols import StoreObject

ROW = "RabbitMQ"


def _chat_queue(profile: Profile) -> Queue:
    queue = profile.queue("chat_message_notify")
    if profile.policies.chat_queue == "repurpose":
        raise NotApplicable("policy: chat_queue = 'repurpose'")
    return queue


def _ours(profile: Profile) -> Callable[[StoreObject], bool]:
    """A filter that leaves out objects in the foreign vhosts of the ownership map."""
    foreign = profile.inventory.foreign_vhosts
    role = profile.roles.broker
    own = role.vhost if role else "/"

    def ours(item: StoreObject) -> bool:
        vhost = str(item.attributes.get("vhost", own))
        return vhost == own or not any(fnmatchcase(vhost, pattern) for pattern in foreign)

    return ours


def _is(queue: Queue, item: StoreObject) -> bool:
    return bool(item.attributes.get("queue", item.attributes.get("name")) == queue.name)


@check(
    "MQ-01",
    title="The chat queue is deleted and no other takes its place; until P4 it is empty and unbound",
    severity=Severity.HIGH,
    phase=Phase.FROZEN,
    row=ROW,
)
def chat_queue_gone(profile: Profile) -> Inventory:
    """While the queue accepts messages, a service may still publish to it and assume that they are delivered. The same is
    true of a queue under another name to which a wildcard, an alternate exchange or dead letters lead."""
    queue = _chat_queue(profile)
    gone = profile.phase.reached(Phase.DECOMMISSIONED)
    ways = ChatWays(profile, queue)

    def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
        problems = list(ways.problems(objects))
        for item in objects:
            if not _is(queue, item):
                continue
            vhost = item.attributes.get("vhost")
            if item.kind == "queue" and gone:
                problems.append(
                    _problem(
                        f"queue {queue.name} exists in vhost {vhost}",
                        f"queue@{vhost}",
                        "no such queue in any vhost",
                        "the queue exists",
                    )
                )
            elif item.kind == "queue" and (waiting := int(item.attributes.get("messages") or 0)):
                problems.append(
                    _problem(
                        f"queue {queue.name} in vhost {vhost} still contains messages",
                        f"messages@{vhost}",
                        "an empty queue",
                        f"{waiting} messages",
                    )
                )
            elif item.kind == "binding" and item.attributes.get("source") and not gone:
                source = item.attributes["source"]
                problems.append(
                    _problem(
                        f"queue {queue.name} in vhost {vhost} is bound to {source}",
                        f"binding@{vhost}/{source}",
                        "no binding",
                        f"bound to {source}",
                    )
                )
        return problems

    def doubts(objects: Sequence[StoreObject]) -> list[str]:
        unknown = [
            f"whether queue {item.name} is empty is unknown: its state is {item.attributes.get('state') or 'not shown'}, and the "
            "broker does not say how many messages it has"
            for item in objects
            if item.kind == "queue" and _is(queue, item) and item.attributes.get("messages") is None
        ]
        return [*unknown, *ways.doubts(objects)]

    return Inventory(
        role=queue.role,
        kinds=("queues", "exchanges", "bindings", "policies"),
        judge=judge,
        doubts=doubts,
        applies=_ours(profile),
        unit="queues, exchanges, bindings and policies of all readable vhosts",
        unseen=ways.unseen,
    )


def _problem(summary: str, key: str, expected: str, actual: str) -> Problem:
    return Problem(
        key=key,
        summary=summary,
        expected=expected,
        actual=actual,
        next_step="Unbind and delete the queue, and remove its declaration from the service that creates it.",
    )


@check("MQ-02", title="Nothing is published to the chat queue", severity=Severity.HIGH, phase=Phase.FROZEN, row=ROW)
def chat_queue_silent(profile: Profile) -> Absence:
    """A queue whose messages are consumed at once looks empty, but its publish counter still rises."""
    _chat_queue(profile)
    return Absence(
        target="chat_message_notify",
        kind="queue",
        operations=frozenset({"publish", "declare"}),  # a service that declares the queue again intends to use it
        noun="message",
        next_step="Find and stop the publisher (chat-service in legacy mode) and the consumer.",
    )


@check(
    "MQ-03",
    title="No consumer, policy or other definition names the chat queue",
    severity=Severity.MEDIUM,
    phase=Phase.FROZEN,
    row=ROW,
)
def chat_queue_unreferenced(profile: Profile) -> Inventory:
    """A consumer, policy, shovel or dead-letter exchange that names the queue can bring it back into use. A shovel that takes
    the queue's messages from its exchange needs no queue at all."""
    queue = _chat_queue(profile)
    ways = ChatWays(profile, queue)
    named = re.compile(rf"(?<![\w.-]){re.escape(queue.name)}(?![\w.-])")

    def names_it(item: StoreObject) -> bool:
        if item.kind == "consumer":
            return _is(queue, item)
        if item.kind == "queue":
            return queue.name in (item.attributes.get("arguments") or {}).values() and not _is(queue, item)
        if item.kind == "parameter" and ways.fed_by(item):
            return True
        # Patterns are regular expressions: `^chat\.message\.notify$` names the queue too.
        return item.kind in ("policy", "parameter") and bool(named.search(str(item.attributes).replace("\\", "")))

    def judge(objects: Sequence[StoreObject], _approved: Approved | None) -> list[Problem]:
        return [
            Problem(
                key=f"{item.kind} {item.name}",
                summary=f"{item.kind} {item.name} names {queue.name}",
                expected="no definition that names it",
                actual=f"{item.kind} {item.name}",
                next_step="Stop the consumer, or remove the definition.",
            )
            for item in objects
            if names_it(item)
        ]

    return Inventory(
        role=queue.role,
        kinds=("consumers", "queues", "policies", "parameters"),
        judge=judge,
        applies=_ours(profile),
        unit="definitions",
    )


@check("MQ-04", title="notification.push carries no chat", severity=Severity.HIGH, phase=Phase.FROZEN, row=ROW)
def push_is_not_chat(profile: Profile) -> list[Rule | Delivery]:
    """OpenIM pushes chat messages. A chat message in the platform's push queue is a second notification to the user, and it contains the text."""
    profile.queue("notification_push")
    policies = profile.policies
    proofs: list[Rule | Delivery] = []
    if "push_tap" in profile.queues:

        def judge(row: Row) -> Problem | None:
            found = chat_fields(map(tuple, row["fields"]), policies.chat_push_fields, policies.push_provider_objects)
            types = [type_of(item) for item in row["body"]] if isinstance(row["body"], list) else [row["type"]]
            # A push that could not be read leaves the check inconclusive: the source says so.
            others = [
                kind for kind in types if kind not in policies.push_types and not (kind is None and row["unread"])
            ]
            if not found and not others:
                return None
            kind = others[0] if others else row["type"]
            return Problem(
                key=str(row["delivery"]),
                summary=f"a push of type {kind!r} was published to notification.push"
                + (f" with {', '.join(found)}" if found else ""),
                expected=f"only the types {', '.join(policies.push_types)}, without chat fields",
                actual=f"type {kind!r}" + (f", with {', '.join(found)}" if found else ""),
                next_step="Remove chat from the push worker: OpenIM pushes chat messages. Then accept what was seen: verifier baseline "
                "--only MQ-04",
            )

        proofs.append(
            Rule(
                subject=Rows("broker.push_tap", ("body", "type", "fields", "unread")),
                judge=judge,
                remembers=True,  # reading empties the tap
                unit="tapped pushes",
                unseen=("pushes published before the tap queue was bound",),
            )
        )
    proofs.append(
        Delivery(
            judge=lambda operations: judge_push_types(
                operations,
                types=policies.push_types,
                chat_fields=policies.chat_push_fields,
                providers=policies.push_provider_objects,
            ),
            statement="pushes received by the canary's sink",
            unseen=()
            if proofs
            else ("pushes to other users; to see them, bind a queue of your own and map it as queues.push_tap",),
        )
    )
    return proofs


@check("MQ-05", title="A push arrives once", severity=Severity.HIGH, phase=Phase.CUTOVER, row=ROW)
def push_once(profile: Profile) -> Delivery:
    """Two pushes for one message mean that both the legacy path and OpenIM deliver it. A canary that listens on OpenIM's
    WebSocket receives each message once on each connection, and the push sink of its device then receives none."""
    return Delivery(judge=judge_push_once, statement="canary messages", unseen=("OpenIM's own offline push",))
