"""Envelopes are read as they were written, in every encoding, and as the recorded server wrote them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.wire import gob
from fixtures.wire.envelope import Answer, Request
from suites.selftest.wire.envelopes import ANSWERS, CODECS, RECORDED_ANSWERS, RECORDED_REQUESTS, REQUESTS


@pytest.mark.parametrize("name", CODECS)
@given(request=REQUESTS)
def test_a_request_is_read_as_it_was_written(name: str, request: Request) -> None:
    """All fields come back; JSON's reader drops only the token, which the server ignores (session 22)."""
    found = CODECS[name].decode_request(CODECS[name].encode_request(request))
    for field in ("req_identifier", "send_id", "operation_id", "msg_incr", "data"):
        assert getattr(found, field) == getattr(request, field)


@pytest.mark.parametrize("name", CODECS)
@given(answer=ANSWERS)
def test_an_answer_is_read_as_it_was_written(name: str, answer: Answer) -> None:
    """All fields of an answer come back."""
    assert CODECS[name].decode_answer(CODECS[name].encode_answer(answer)) == answer


@pytest.mark.parametrize("session", RECORDED_REQUESTS)
def test_recorded_requests_are_understood(session: str) -> None:
    """Frames of sessions 17, 40, 41 and 42 say what the recording says of them."""
    name, frame, request = RECORDED_REQUESTS[session]
    assert CODECS[name].decode_request(frame) == request


@pytest.mark.parametrize("session", RECORDED_ANSWERS)
def test_recorded_answers_are_understood(session: str) -> None:
    """The server's frames of sessions 17, 40, 41 and 42 say what the recording says of them."""
    name, frame, answer = RECORDED_ANSWERS[session]
    assert CODECS[name].decode_answer(frame) == answer


@pytest.mark.parametrize("session", ["17", "42"])
def test_json_answers_are_written_byte_for_byte_as_recorded(session: str) -> None:
    """The order of fields, null for no data and "" for an empty message: sessions 17 and 42."""
    name, frame, answer = RECORDED_ANSWERS[session]
    plain = name.removesuffix("+gzip")
    assert CODECS[plain].encode_answer(answer) == (
        frame
        if name == plain
        else b'{"reqIdentifier":1001,"msgIncr":"a-1","operationID":"op-a-1","errCode":0,"errMsg":"","data":""}'
    )


def test_gob_answers_are_written_byte_for_byte_as_recorded() -> None:
    """The definition and the value of session 41."""
    _, frame, answer = RECORDED_ANSWERS["41"]
    assert CODECS["go"].encode_answer(answer) == frame


KINDS: dict[int, st.SearchStrategy[gob.Value]] = {
    gob.INT: st.integers(-(2**63), 2**63 - 1),
    gob.UINT: st.integers(0, 2**64 - 1),
    gob.STRING: st.text(st.characters(exclude_categories=["Cs"])),
    gob.BYTES: st.binary(),
}


@st.composite
def structs(draw: st.DrawFn) -> tuple[gob.Shape, dict[str, gob.Value]]:
    """Any flat struct: its name, id and fields in any order, with a value for each."""
    names = draw(st.lists(st.text("abcXYZé", min_size=1, max_size=6), unique=True, max_size=8))
    kinds = {name: draw(st.sampled_from(sorted(KINDS))) for name in names}
    shape = gob.Shape(draw(st.text("Sé", max_size=80)), list(kinds.items()), type_id=draw(st.integers(64, 70_000)))
    return shape, {name: draw(KINDS[kind]) for name, kind in kinds.items()}


@given(struct=structs())
def test_any_flat_struct_is_read_by_the_names_of_its_fields(struct: tuple[gob.Shape, dict[str, gob.Value]]) -> None:
    """Order, name and type id are free (session 41); zero values are absent."""
    shape, values = struct
    assert gob.decode(shape.encode(list(values.values()))) == {name: one for name, one in values.items() if one}
