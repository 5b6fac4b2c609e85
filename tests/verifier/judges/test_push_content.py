"""Chat fields in a push: at any depth, in any spelling, in texts that hold documents; not the fields of providers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.judges.push_content import chat_fields, fields_of, type_of
from verifier.profile.policies import Policies

POLICIES = Policies()
CHAT = {"conversation_id": "c-1", "message_id": "m-1"}
TEXT = json.dumps(CHAT)


def found(push: Any, names: tuple[str, ...] = POLICIES.chat_push_fields) -> list[str]:
    """The chat fields of a push, under the default policies."""
    return chat_fields(fields_of(push).paths, names, POLICIES.push_provider_objects)


@pytest.mark.parametrize(
    "push",
    [
        CHAT,
        {"data": CHAT},
        {"data": {"deep": [{"er": CHAT}]}},
        [{"type": "otp"}, {"data": CHAT}],
        {"payload": TEXT},
        {"payload": f"  {TEXT}\n"},
        {"payload": json.dumps(TEXT)},
        {"payload": json.dumps({"inner": TEXT})},
        {"payload": base64.b64encode(TEXT.encode()).decode()},
        {"payload": base64.urlsafe_b64encode(TEXT.encode()).decode().rstrip("=")},
        {"link": "app://chat?conversation_id=c-1&message_id=m-1"},
        TEXT,
    ],
)
def test_chat_fields_are_found_at_any_depth(push: Any) -> None:
    """Nested, in lists, in JSON text, in base64, in a link."""
    assert {path.rpartition(".")[2] for path in found(push)} == {"conversation_id", "message_id"}


@pytest.mark.parametrize(
    "name", ["conversationId", "ConversationID", "CONVERSATION_ID", "conversation-id", "conversation id"]
)
def test_spellings_of_a_name(name: str) -> None:
    """Case and separators do not matter."""
    assert found({"type": "otp", "data": {name: "c-1"}}) == [f"data.{name}"]


@pytest.mark.parametrize(
    "push",
    [
        {"type": "alert", "text": "Your conversation_id message was seen"},
        {"type": "alert", "text": '{"conversation_id": unfinished'},
        {"type": "otp", "provider": {"message_id": "0100018f"}},
        {"type": "otp", "mailProvider": {"response": {"messageId": "0100018f"}}},
        {"type": "otp", "delivery": {"smtp": [{"message_id": "x"}]}},
        {"type": "otp", "data": {"message_id": "<0100018f@email.example>"}},
        {"type": "otp", "data": {"conversation_id": None, "message_id": "", "seq": []}},
        {"type": "otp", "messages": ["conversation_id", "message_id"]},
        {"type": "otp", "sequence": 4, "my_conversation_id_hint": "x", "url": "https://shop.example/?seqs=1"},
        {"type": "otp", "code": "123456", "token": "aGVsbG8gd29ybGQgaGVsbG8="},
    ],
)
def test_what_is_not_chat(push: Any) -> None:
    """A text that mentions a name, ids of mail providers, empty fields, other names."""
    assert found(push) == []


def test_a_chat_message_in_a_providers_object() -> None:
    """Two fields are more than a provider's own id."""
    assert found({"type": "otp", "provider": {"message_id": "m", "nested": {"conversationId": "c"}}}) == [
        "provider.message_id",
        "provider.nested.conversationId",
    ]


def test_names_with_a_path() -> None:
    """A policy may name the end of a path."""
    push = {"thread": {"id": 4}, "id": 7, "user": {"id": 5}}
    assert found(push, ("Thread.ID",)) == ["thread.id"]


def test_the_type() -> None:
    """In any spelling of the field; a push that is no object has none."""
    assert [type_of(push) for push in ({"Type": "otp"}, {"type": None}, ["otp"], "otp")] == ["otp", None, None, None]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(_json, st.sampled_from(["plain", "text", "base64"]))
def test_any_document_can_be_read(push: Any, form: str) -> None:
    """Nothing crashes, and a field is found behind whatever is beside it."""
    inner: Any = {"conversation_id": "c-1"}
    if form != "plain":
        inner = json.dumps(inner)
    if form == "base64":
        inner = base64.b64encode(inner.encode()).decode()
    assert found({"beside": push, "at": inner})[-1] == "at.conversation_id"


def test_depth_and_number_are_bounded() -> None:
    """A push made to exhaust the verifier is read as far as the limits go, and says that it was not read to its end."""
    deep: Any = CHAT
    for _ in range(500):
        deep = {"a": deep}
    many = fields_of({str(number): 1 for number in range(100_000)})
    assert (len(many.paths), many.whole, fields_of(deep).whole) == (5_000, False, False)
    assert fields_of({"data": CHAT}).whole
