"""Sessions in which two clients send at once: who comes first is the server's to decide, so seqs stand for messages.

What must hold: the recorded seqs are used, each once; every connection shows the same seq for a message; each sender's
own messages are in its order. Where that holds, the seqs are told in recorded terms, and all else is compared as usual.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from suites.contract.openim.ws import frames
from suites.contract.openim.ws.symbols import Symbols

Shown = dict[str, Any]


def in_recorded_terms(
    symbols: Symbols, agreed: dict[str, int], recorded: Sequence[Shown], came: Sequence[Shown]
) -> tuple[list[Shown], list[str]]:
    """Pushes to one connection with their seqs exchanged for those that their messages had; and what does not hold.

    `agreed` is what the connections so far showed, message -> seq, and is added to.
    """
    recorded_seqs = {symbols.known(one["clientMsgID"]): one for one in _sent(recorded)}
    actual = {one["clientMsgID"]: one for one in _sent(came)}
    if recorded_seqs.keys() != actual.keys():
        return list(came), []  # missing and surplus ones are told as such
    if {one["seq"] for one in recorded_seqs.values()} != {one.get("seq") for one in actual.values()}:
        return list(came), [
            f"other seqs than the recorded ones: {sorted(one.get('seq', 0) for one in actual.values())}"
        ]
    found = [f"{sender}'s messages are out of order" for sender in _disordered(recorded_seqs, actual)]
    for client_msg_id, message in actual.items():
        if agreed.setdefault(client_msg_id, message["seq"]) != message["seq"]:
            found.append(f"seq {message['seq']} for a message that another connection saw as {agreed[client_msg_id]}")
        message["seq"] = recorded_seqs[client_msg_id]["seq"]
    return list(came), found


def _sent(pushes: Sequence[Shown]) -> Iterator[dict[str, Any]]:
    """What clients sent, as opposed to notices."""
    for push in pushes:
        for _, _, message in frames.messages_in(push):
            if message.get("msgFrom") == 100:
                yield message


def _disordered(recorded: dict[Any, dict[str, Any]], actual: dict[str, dict[str, Any]]) -> Iterator[str]:
    senders = dict.fromkeys(one["sendID"] for one in actual.values())
    for sender in senders:
        own = [one for one in actual if actual[one]["sendID"] == sender]
        if sorted(own, key=lambda one: recorded[one]["seq"]) != sorted(own, key=lambda one: actual[one]["seq"]):
            yield str(sender)
