"""The ids of OpenIM's single chats, and the pairs of users that an id fits [F54, F55]."""

from __future__ import annotations

SINGLE = "si_"
Pair = tuple[str, str]


def conversation_of(pair: Pair) -> str:
    """The id of the chat of two users: both ids, sorted by bytes [F54]."""
    return SINGLE + "_".join(sorted(pair, key=str.encode))


def is_ambiguous(conversation_id: str) -> bool:
    """Whether the id of a single chat can be split in more than one way."""
    return conversation_id.startswith(SINGLE) and conversation_id.count("_") > 2


def pairs_of(conversation_id: str) -> list[Pair]:
    """All pairs of ids that have this conversation id."""
    names = conversation_id.removeprefix(SINGLE).split("_")
    splits = [("_".join(names[:at]), "_".join(names[at:])) for at in range(1, len(names))]
    return [pair for pair in splits if all(pair) and conversation_of(pair) == conversation_id]


def pair_text(pair: Pair) -> str:
    """A pair for messages and keys; the same in both orders."""
    return " and ".join(sorted(set(pair), key=str.encode))
