"""Rules for sessions whose exact course the server may choose: interleaved senders, and messages that are lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fixtures.wire.identifiers import ReqIdentifier
from suites.contract.openim.ws import frames
from suites.contract.openim.ws.bindings import SessionBindings
from suites.contract.openim.ws.recording import Line, Session, Source

Decoded = dict[str, Any]
_FROM_USER = 100


def with_recorded_seqs(
    bindings: SessionBindings, agreed: dict[str, int], recorded: Sequence[Decoded], pushes: Sequence[Decoded]
) -> tuple[list[Decoded], list[str]]:
    """The pushes to one connection with the recorded seqs of their messages, and what is wrong with their own seqs.

    If two clients send at once, the server decides which message comes first. These rules must hold: each recorded seq
    is used once, every connection shows the same seq for a message, and the messages of one sender keep their order.

    Args:
        agreed: clientMsgID -> seq, as the earlier connections of the session showed it; it is added to.
    """
    expected = {bindings.actual.get(one["clientMsgID"]): one for one in _messages_of_users(recorded)}
    actual = {one["clientMsgID"]: one for one in _messages_of_users(pushes)}
    if expected.keys() != actual.keys():
        return list(pushes), []  # the comparison reports missing and additional messages
    if {one["seq"] for one in expected.values()} != {one.get("seq") for one in actual.values()}:
        return list(pushes), [
            f"other seqs than the recorded ones: {sorted(one.get('seq', 0) for one in actual.values())}"
        ]
    found = [f"the messages of {sender} are out of order" for sender in _disordered(expected, actual)]
    for client_msg_id, message in actual.items():
        if agreed.setdefault(client_msg_id, message["seq"]) != message["seq"]:
            found.append(f"seq {message['seq']} for a message that another connection saw as {agreed[client_msg_id]}")
        message["seq"] = expected[client_msg_id]["seq"]
    return list(pushes), found


def _messages_of_users(pushes: Sequence[Decoded]) -> Iterator[dict[str, Any]]:
    """The messages that users sent; notifications are left out."""
    for push in pushes:
        for _, _, message in frames.messages_in(push):
            if message.get("msgFrom") == _FROM_USER:
                yield message


def _disordered(expected: dict[Any, dict[str, Any]], actual: dict[str, dict[str, Any]]) -> Iterator[str]:
    senders = dict.fromkeys(one["sendID"] for one in actual.values())
    for sender in senders:
        own = [one for one in actual if actual[one]["sendID"] == sender]
        if sorted(own, key=lambda one: expected[one]["seq"]) != sorted(own, key=lambda one: actual[one]["seq"]):
            yield str(sender)


def loss_differences(session: Session, recorded: Sequence[Line], pushes: Sequence[Decoded]) -> Iterator[str]:
    """What is wrong with the pushes to the receiver in a session in which the server loses acknowledged messages [F67].

    Which messages are lost is chance. These rules must hold: the pushes keep the order of sending, their seqs are
    1, 2, 3 …, each is of one message that was sent, and something was lost.
    """
    sent = [line.decoded["operationID"] for line in session.lines if _is_send(line)]
    pushed = [one.get("operationID") for one in pushes]
    seqs = [message.get("seq") for one in pushes for _, _, message in frames.messages_in(one)]
    if seqs != list(range(1, len(pushes) + 1)):
        yield f"the seqs are {seqs}, and should be 1 to {len(pushes)}"
    if [one for one in sent if one in pushed] != pushed:
        yield "the pushes are not a part of the sent messages, in their order"
    if recorded and len(pushes) == len(sent):
        yield f"nothing was lost; recorded: {len(sent) - len(recorded)} of {len(sent)}"


def _is_send(line: Line) -> bool:
    return (
        line.source is Source.CLIENT
        and line.kind == "binary"
        and line.decoded.get("reqIdentifier") == ReqIdentifier.SEND_MSG
    )


def with_highest_seq(recorded: Any, highest: int) -> Any:
    """A recorded answer with the highest seqs as they must be if `highest` messages were not lost."""
    if not isinstance(recorded, dict) or "maxSeqs" not in (recorded.get("data") or {}):
        return recorded
    seqs = dict.fromkeys(recorded["data"]["maxSeqs"], highest) if highest else {}
    return {**recorded, "data": {"maxSeqs": seqs} if seqs else {}}
