"""Request bodies are read as the real server's decoder reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from fixtures.openim.binding import BindError, Int32, Int64, UInt64, bind, wire_name


@dataclass(frozen=True)
class Inner:
    """An inner message."""

    face_url: str = ""


@dataclass(frozen=True)
class Probe:
    """One field of each kind."""

    user_ids: list[str] | None = None
    count: Int32 = 0
    time: Int64 = 0
    id_hash: UInt64 = 0
    is_pinned: bool | None = None
    text: str = ""
    maybe: str | None = None
    inner: Inner | None = None
    inners: list[Inner | None] | None = None
    content: dict[str, Any] | None = None
    configs: dict[str, str] | None = None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("null", Probe()),
        ("{}", Probe()),
        ('{"USERIDS":["a",null]}', Probe(user_ids=["a", ""])),
        ('{"userIDs":[]}', Probe(user_ids=[])),
        ('{"userIDs":null,"unknown":{"a":[1]}}', Probe()),
        ('{"text":"a","text":"b"}', Probe(text="b")),
        ('{"count":-2147483648,"time":9223372036854775807,"idHash":18446744073709551615}',
         Probe(count=-(2**31), time=2**63 - 1, id_hash=2**64 - 1)),
        ('{"isPinned":false,"maybe":""}', Probe(is_pinned=False, maybe="")),
        ('{"inner":{"faceURL":"u"},"inners":[null,{}]}', Probe(inner=Inner("u"), inners=[None, Inner()])),
        ('{"content":{"a":[1,{"b":null}]},"configs":{"k":"v"}}',
         Probe(content={"a": [1, {"b": None}]}, configs={"k": "v"})),
        ('{"text":"\\ud83d"}', Probe(text="�")),
        ('{"text":"\\ud83d\\ude00"}', Probe(text="😀")),
    ],
)  # fmt: skip
def test_what_fits_is_read(body: str, expected: Probe) -> None:
    """Case, unknown names, repeated names, null, bounds, wrappers, nesting, half surrogates."""
    assert bind(Probe, body.encode()) == expected


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        ('{"text":"a', "unexpected end of JSON input"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("[]", "cannot unmarshal array into Go value of type api.Probe"),
        ('"x"', "cannot unmarshal string into Go value"),
        ("NaN", "invalid character 'N'"),
        ('{"count":1.5}', "cannot unmarshal number 1.5 into Go struct field Probe.count of type int32"),
        ('{"count":2147483648}', "cannot unmarshal number 2147483648"),
        ('{"count":"1"}', "cannot unmarshal string into Go struct field Probe.count of type int32"),
        ('{"count":true}', "cannot unmarshal bool"),
        ('{"idHash":-1}', "of type uint64"),
        ('{"isPinned":1}', "cannot unmarshal number into Go struct field Probe.isPinned of type bool"),
        ('{"userIDs":"a"}', "of type []string"),
        ('{"userIDs":[1]}', "of type string"),
        ('{"maybe":{"value":"a"}}', "cannot unmarshal object"),
        ('{"content":"a"}', "of type map[string]interface {}"),
        ('{"inner":{"faceURL":1}}', "Go struct field Inner.faceURL of type string"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_what_does_not_fit_is_refused(body: str, sentence: str) -> None:
    """With the decoder's own sentence; nothing is converted."""
    with pytest.raises(BindError) as caught:
        bind(Probe, body.encode())
    assert sentence in str(caught.value) or "depth" in str(caught.value)


def test_bytes_that_are_no_text_are_read_with_replacements() -> None:
    """As the real decoder does."""
    assert bind(Probe, b'{"text":"\xff"}') == Probe(text="�")


@pytest.mark.parametrize(
    ("field", "name"), [("check_user_ids", "checkUserIDs"), ("face_url", "faceURL"), ("user_id", "userID")]
)
def test_names_on_the_wire(field: str, name: str) -> None:
    """The wire's spelling follows from ours."""
    assert wire_name(field) == name
