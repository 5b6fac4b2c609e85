"""MQ-04 and MQ-05 in a journal: pushes carry no chat, and each message reaches each receiver by one push."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from verifier.judges import push_content
from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import WEBSOCKET, Operation, OpPhase, calls
from verifier.judges.sockets import over_websocket
from verifier.model.invariant import Problem

_KINDS = ("push", "push_watch", "send", "receive", "ws_connect", "ws_watch")


@dataclass(slots=True)
class _Arrived:
    """The pushes of one message to one receiver: to devices by notification id, over connections by (connection, place)."""

    devices: dict[str, Operation] = field(default_factory=dict)
    connections: dict[tuple[str, str], list[Operation]] = field(default_factory=lambda: defaultdict(list))


@dataclass(slots=True)
class _Watches:
    """For each receiver, whether its sink and its connections were watched to the end."""

    sinks: dict[str, bool] = field(default_factory=dict)
    connections: dict[str, bool] = field(default_factory=dict)

    def known(self, receiver: str) -> bool:
        """Whether a receiver was watched somewhere, and everywhere to the end."""
        found = [watched[receiver] for watched in (self.sinks, self.connections) if receiver in watched]
        return bool(found) and all(found)


def judge_push_once(operations: Iterable[Operation]) -> JournalJudgement | None:
    """MQ-05: at most one push for each message and receiver. None if no push sink and no connection was watched.

    Pushes with the same notification id are one push that a provider repeated. Each connection of OpenIM's WebSocket
    receives a message once, also on the sender's side [F116]. A push to a device whose user received the message over a
    connection is a second one. Receivers that were not watched to the end are unknown. MSG-04 judges messages that are
    stored twice.
    """
    operations = [item for item in operations if item.op in _KINDS]
    watches = _watches(operations)
    if not watches.sinks and not watches.connections:
        return None
    arrived = _arrived(operations)
    problems = Problems()
    for (message, receiver), found in arrived.items():
        for problem in _doubles(message, receiver, found):
            problems.add(problem)
    judged = [(marker, name) for marker, name in _due(operations, watches) if watches.known(name)]
    total = sum(1 for _ in _due(operations, watches))
    return problems.judgement(
        seen=len(judged),
        total=total,
        unit="messages to a receiver whose pushes were watched",
        unknown=total - len(judged),
        notes=tuple(_notes(watches, arrived, judged)),
        seen_over=str(over_websocket(operations)),
        unseen=() if watches.connections else ("pushes over OpenIM's WebSocket",),
    )


def judge_push_types(
    operations: Iterable[Operation], *, types: Sequence[str], chat_fields: Sequence[str], providers: Sequence[str] = ()
) -> JournalJudgement | None:
    """MQ-04: pushes have one of the declared `types` and none of `chat_fields`, save those of `providers`. None if no push with a
    type was recorded. The fields are recorded by path: `data.conversation_id`."""
    problems, seen = Problems(), 0
    for item in operations:
        if item.op not in ("push", "push_type") or not item.text("type"):
            continue
        seen += 1
        paths = [tuple(name.split(".")) for name in item.names("fields")]
        chat = push_content.chat_fields(paths, chat_fields, providers)
        if item.text("type") in types and not chat:
            continue
        problems.add(
            Problem(
                key=item.text("notification_id") or item.id,
                summary=f"a push of type {item.text('type')!r} reached the sink"
                + (f" with {', '.join(chat)}" if chat else ""),
                expected=f"only the types {', '.join(types)}, without chat fields",
                actual=str(item),
                next_step="Remove chat from the push worker: OpenIM pushes chat messages.",
            )
        )
    if not seen:
        return None
    return problems.judgement(seen=seen, total=seen, unit="pushes")


def _watches(operations: Sequence[Operation]) -> _Watches:
    watches = _Watches()
    for kind, found in (("push_watch", watches.sinks), ("ws_watch", watches.connections)):
        for call in calls(operations, kind):
            name = call.invoke.text("receiver")
            found[name] = found.get(name, True) and call.phase is OpPhase.OK
    return watches


def _arrived(operations: Sequence[Operation]) -> dict[tuple[str, str], _Arrived]:
    messages = _message_ids(operations)
    arrived: dict[tuple[str, str], _Arrived] = defaultdict(_Arrived)
    for item in operations:
        message = _about(item, messages)
        if message is None:
            continue
        found = arrived[message, item.text("receiver")]
        if item.op == "push":
            found.devices.setdefault(item.text("notification_id") or item.id, item)
        else:
            # A message that is stored at two seqs is pushed once for each. MSG-04 reports it.
            place = item.text("seq") or item.text("message_id")
            found.connections[item.text("connection"), place].append(item)
    return arrived


def _due(operations: Sequence[Operation], watches: _Watches) -> Iterator[tuple[str, str]]:
    """(message, receiver) of every push that was due; over a connection, to the sender too."""
    for call in calls(operations, "send"):
        if call.phase is not OpPhase.OK:
            continue
        for name in call.invoke.names("receivers"):
            if name in watches.connections or name != call.invoke.text("sender"):
                yield call.invoke.text("marker"), name


def _doubles(message: str, receiver: str, found: _Arrived) -> Iterator[Problem]:
    for pushes in found.connections.values():
        if len(pushes) > 1:
            yield _twice(
                message,
                receiver,
                pushes,
                "over one connection",
                "Check OpenIM's push service: it may consume its topic twice.",
            )
    devices = list(found.devices.values())
    over = [push for pushes in found.connections.values() for push in pushes[:1]]
    if len(devices) > 1 or (devices and over):
        step = "Switch off chat pushes in the push worker once OpenIM pushes this conversation."
        yield _twice(message, receiver, [*over[:1], *devices], "", step)


def _notes(
    watches: _Watches, arrived: dict[tuple[str, str], _Arrived], judged: Sequence[tuple[str, str]]
) -> Iterator[str]:
    yield (
        f"{sum(len(found.devices) for found in arrived.values())} pushes arrived at the push sink"
        if watches.sinks
        else "no push sink was watched"
    )
    online = [key for key in judged if key[1] in watches.connections]
    missed = sum(not (key in arrived and arrived[key].connections) for key in online)
    if missed:
        # Acknowledged and stored, but not pushed: presence lags by about a second [F119], so this is a note and not a problem.
        yield f"{missed} of {len(online)} messages did not arrive over an open connection"


def _message_ids(operations: Sequence[Operation]) -> dict[str, str]:
    """Message id -> marker, for the acknowledged sends."""
    return {
        call.last.text("message_id"): call.invoke.text("marker")
        for call in calls(operations, "send")
        if call.phase is OpPhase.OK and call.last.text("message_id")
    }


def _about(item: Operation, messages: dict[str, str]) -> str | None:
    """The message of a push: its marker, or its message id if it belongs to no send of this journal."""
    if item.op != "push" and not (item.op == "receive" and item.text("channel") == WEBSOCKET):
        return None
    if item.text("marker"):
        return item.text("marker")
    message_id = item.text("message_id")
    return messages.get(message_id, message_id) or None


def _twice(message: str, receiver: str, pushes: Sequence[Operation], how: str, next_step: str) -> Problem:
    sources = " and ".join(dict.fromkeys(_source(push) for push in pushes))
    return Problem(
        key=f"{message} at {receiver}" + (f" {how}" if how else ""),
        summary=f"message {message} was pushed to {receiver} twice{f' {how}' if how else ''}: {pushes[0]} and {pushes[1]}",
        expected="at most one push",
        actual=f"{len(pushes)} pushes, from {sources}",
        next_step=next_step,
        evidence={f"push {number}": str(push) for number, push in enumerate(pushes[:5], 1)},
    )


def _source(push: Operation) -> str:
    if push.op == "receive":
        return f"OpenIM's WebSocket ({push.text('connection') or 'one connection'})"
    return push.text("source") or "unknown sender"
