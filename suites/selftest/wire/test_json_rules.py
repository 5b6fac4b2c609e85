"""JSON requests are read as Go reads JSON, on the fast path and on the slow one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.wire.envelope import EnvelopeError, Request, read_as_go
from suites.selftest.wire.envelopes import CODECS, REQUESTS

REFUSED, KEPT = object(), object()
"""What a literal means for a field: the frame is no envelope; the field stays as it was."""


@dataclass(frozen=True)
class Literal:
    """A JSON literal as written, and what it means for the field that it stands in."""

    text: str
    means: Any


NUMBERS = [
    *(Literal(str(one), one) for one in (0, 1003, -1, 2**31 - 1, -(2**31))),
    Literal("-0", 0),
    Literal("null", KEPT),
    *(Literal(text, REFUSED) for text in ("1003.0", "1e3", "2147483648", "9" * 30, "9" * 5000, '"1003"', "true")),
    *(Literal(text, REFUSED) for text in ("01", "+1", "NaN", "Infinity", "[]", "{}", "0x1", "")),
]
TEXTS = [
    Literal('"u"', "u"),
    Literal('""', ""),
    Literal(r'"\u00e9\n\/"', "é\n/"),
    Literal(r'"\ud83d\ude00"', "😀"),
    Literal(r'"\ud800"', "�"),
    Literal(r'"\udc00x"', "�x"),
    Literal("null", KEPT),
    *(Literal(text, REFUSED) for text in ("1", "true", "[]", "{}", "'u'", '"\n"', r'"\x41"', '"')),
]
DATA = [
    Literal('""', b""),
    Literal('"QQ=="', b"A"),
    Literal('"QR=="', b"A"),
    Literal(r'"QU\u0049="', b"AB"),
    Literal(r'"QQ=\n="', b"A"),
    Literal(r'"Q\r\nQ=="', b"A"),
    Literal(r'"QUJD\n"', b"ABC"),
    Literal("null", None),
    *(Literal(f'"{text}"', REFUSED) for text in ("QQ", "QQ=", "QUI==", "QUJD==", "=", "==", "A===", "-_==", "Q Q==")),
    *(Literal(text, REFUSED) for text in ("1", "true", "{}", '"QQ==QQ=="', '"é==="')),
]
FIELDS = {
    "reqIdentifier": ("req_identifier", NUMBERS),
    "token": ("token", TEXTS),
    "sendID": ("send_id", TEXTS),
    "operationID": ("operation_id", TEXTS),
    "msgIncr": ("msg_incr", TEXTS),
    "data": ("data", DATA),
}
UNKNOWN = ["1", "null", '"x"', "[1,{}]", '{"sendID":"v"}', "1e999", "9" * 5000, r'"\ud800"']


def cased(name: str) -> st.SearchStrategy[str]:
    """A name as it is, or in other case: Go takes it all the same, also with the two letters that fold to ASCII."""
    folded = name.swapcase().replace("S", "ſ").replace("K", "\u212a")
    return st.sampled_from([name, name, name, name.upper(), name.lower(), folded])


@st.composite
def members(draw: st.DrawFn) -> list[tuple[str, str, Literal]]:
    """Members of an object in order: the field, its name as written, its value."""
    names = draw(st.permutations(list(FIELDS))) + draw(st.lists(st.sampled_from(list(FIELDS)), max_size=2))
    # Mostly what is no error, so that several members count.
    found = []
    for name in names:
        choices = FIELDS[name][1]
        good = [one for one in choices if one.means is not REFUSED]
        found.append((name, draw(cased(name)), draw(st.sampled_from(good * 4 + choices))))
    return found


def expected(given_members: list[tuple[str, str, Literal]]) -> Request | None:
    """Go's rule, stated once more: each member in turn sets its field, whatever its case; null leaves a text alone."""
    fields: dict[str, Any] = {"req_identifier": 0}
    for name, _, literal in given_members:
        if literal.means is REFUSED:
            return None
        if literal.means is not KEPT:
            fields[FIELDS[name][0]] = literal.means
    return Request(**fields)


def read(frame: bytes) -> Request | None:
    """What the codec makes of a frame; None: refused."""
    try:
        return CODECS["js"].decode_request(frame)
    except EnvelopeError:
        return None


def without_token(request: Request | None) -> Request | None:
    """The fast path does not keep the token, which the server ignores (session 22)."""
    return None if request is None else Request(request.req_identifier, "", *(getattr(request, one) for one in _REST))


_REST = ("send_id", "operation_id", "msg_incr", "data")


@given(members=members(), unknown=st.none() | st.sampled_from(UNKNOWN), blank=st.sampled_from(["", " ", "\r\n\t"]))
def test_members_are_read_as_go_reads_them(
    members: list[tuple[str, str, Literal]], unknown: str | None, blank: str
) -> None:
    """Case of names, repeated names, null, wrong types, numbers and base64 as written, unknown members."""
    parts = [f'"{written}"{blank}:{blank}{literal.text}' for _, written, literal in members]
    if unknown is not None:
        parts.insert(1, f'"other":{unknown}')
    frame = (blank + "{" + f"{blank},{blank}".join(parts) + "}" + blank).encode()
    assert without_token(read(frame)) == without_token(expected(members))


@given(request=REQUESTS)
def test_both_paths_agree(request: Request) -> None:
    """What the fast path reads, the slow one reads too."""
    frame = CODECS["js"].encode_request(request)
    assert without_token(read_as_go(frame)) == without_token(read(frame))


@given(frame=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_json_that_is_no_object_is_refused(frame: str) -> None:
    """Texts, numbers and lists hold no envelope."""
    assert read(frame.encode()) is None


@pytest.mark.parametrize("other", ["SENDID", "sendid"])
def test_a_second_name_for_a_field_counts_also_beside_its_own(other: str) -> None:
    """The last one wins, so that the fast path may not look at exact names alone."""
    usual = '{"reqIdentifier":1001,"sendID":"u","operationID":"o","msgIncr":"1","data":""'
    assert read(f'{usual},"{other}":"v"}}'.encode()) == Request(1001, "", "v", "o", "1", b"")


@pytest.mark.parametrize(("prefix", "read_as"), [(b"\xff", "�"), (b"\xed\xa0\x80", "���"), (b"\xc3\xa9", "é")])
def test_broken_utf_8_is_replaced(prefix: bytes, read_as: str) -> None:
    """Go puts the replacement character where a text is no UTF-8; it does not refuse the frame."""
    found = read(b'{"reqIdentifier":1001,"sendID":"' + prefix + b'","operationID":"o","msgIncr":"1","data":""}')
    assert found is not None
    assert found.send_id == read_as


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_json_is_utf_8_without_a_mark(encoding: str) -> None:
    """Other encodings, which Python's reader would guess, are no JSON to Go."""
    assert read('{"reqIdentifier":1001,"sendID":"u"}'.encode(encoding)) is None
