"""Messages of canaries, pulled from OpenIM. For other messages nothing is pulled, because a pull fills OpenIM's caches [F92]."""

from __future__ import annotations

import base64

from verifier.model.invariant import Row
from verifier.stores.errors import StoreError
from verifier.stores.openim.answers import Item, StrangeAnswer, listed, mapping, number
from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.content import message_digest
from verifier.stores.openim.lists import conversation_names


async def canary_message(client: OpenIMClient, place: str) -> list[Row]:
    """A message by `<conversation>:<seq>`, pulled as its sender. Only for messages of canaries [F92].

    An empty pull proves nothing by itself: OpenIM answers so beyond the end of a conversation, and for one that the user
    does not have [F83]. The message is gone where the conversation ends before it, or is not in the list of its sender.
    """
    conversation, _, seq = place.rpartition(":")
    kind, *pair = conversation.split("_")
    if kind != "si" or len(pair) != 2:
        raise StoreError(
            f"{client.label}: the members of {conversation} cannot be read from its id (ids with _, or not a single chat), so that it "
            "cannot be pulled. Describe roles.openim_mongo, or give the canaries ids without _."
        )
    wanted = {"conversationID": conversation, "begin": int(seq), "end": int(seq), "num": 1}
    body = {"userID": pair[0], "seqRanges": [wanted], "order": 0}
    found = mapping(mapping(await client.call("/msg/pull_msg_by_seq", body)).get("msgs"))
    for item in map(mapping, listed(found.get(conversation), "Msgs")):
        if number(item, "seq") == int(seq):
            return [{"place": place, **_pulled(item)}]
    asked = {"userID": pair[0], "conversationIDs": [conversation]}
    data = await client.call("/msg/get_conversations_has_read_and_max_seq", asked)
    end = mapping(mapping(data).get("seqs")).get(conversation)
    if end is None and conversation not in await conversation_names(client, pair[0]):
        return []
    if number(mapping(end), "maxSeq") < int(seq):
        return []
    raise StrangeAnswer("a pull does not return the seq, although the conversation reaches beyond it")


def _pulled(item: Item) -> Row:
    content = item.get("content")
    try:
        decoded = base64.b64decode(content if isinstance(content, str) else "").decode("utf-8", "replace")
    except ValueError:
        decoded = ""
    digest, _ = message_digest(decoded)
    kinds = (item.get("status"), item.get("contentType"))
    status, content_type = (kind if type(kind) is int else 0 for kind in kinds)
    return {"digest": digest, "status": status, "content_type": content_type}
