"""Bytes that are no envelope: one kind of error, in little time and memory."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.wire.envelope import MAX_INFLATED_BYTES, EnvelopeError, Request
from suites.selftest.wire.envelopes import CODECS, RECORDED_REQUESTS, REQUESTS

_MOST_BYTES = 512 << 20


def read(name: str, frame: bytes) -> Request | None:
    """The request, or None where the frame holds none; nothing else may happen."""
    try:
        return CODECS[name].decode_request(frame)
    except EnvelopeError:
        return None


@pytest.mark.parametrize("name", CODECS)
@given(frame=st.binary(max_size=400))
def test_arbitrary_bytes_are_an_envelope_or_an_error(name: str, frame: bytes) -> None:
    """Nothing but EnvelopeError leaves a codec, whichever way the frame came."""
    read(name, frame)
    if name.endswith("gzip"):
        read(name, gzip.compress(frame))
    with contextlib.suppress(EnvelopeError):
        CODECS[name].decode_answer(frame)


@pytest.mark.parametrize("session", RECORDED_REQUESTS)
@given(data=st.data())
def test_damaged_frames_are_an_envelope_or_an_error(session: str, data: st.DataObject) -> None:
    """A recorded frame with bytes changed, cut out or put in; what is read of it can be answered in its encoding."""
    name, frame, _ = RECORDED_REQUESTS[session]
    at = data.draw(st.integers(0, len(frame)))
    cut = data.draw(st.integers(0, 4))
    damaged = frame[:at] + data.draw(st.binary(max_size=9)) + frame[at + cut :]
    found = read(name, damaged)
    if found is not None:
        CODECS[name].encode_request(found)


@pytest.mark.parametrize("name", CODECS)
@given(request=REQUESTS, data=st.data())
def test_a_frame_that_breaks_off_is_an_error(name: str, request: Request, data: st.DataObject) -> None:
    """Each proper beginning of a frame is refused."""
    frame = CODECS[name].encode_request(request)
    assert read(name, frame[: data.draw(st.integers(0, len(frame) - 1))]) is None


@pytest.mark.parametrize("name", CODECS)
@given(request=REQUESTS, tail=st.binary(min_size=1, max_size=9))
def test_bytes_after_an_envelope_are_an_error(name: str, request: Request, tail: bytes) -> None:
    """A frame holds one envelope (section 3 of the recordings' notes); blanks after JSON are part of it."""
    frame = CODECS[name].encode_request(request) + tail
    if name != "js" or tail.strip(b" \t\r\n"):
        assert read(name, frame) is None


def _number(value: int) -> bytes:
    return bytes([256 - 8]) + value.to_bytes(8, "big")


HOSTILE = {
    "deep arrays": ("js", b"[" * 2_000_000),
    "deep objects": ("js", b'{"a":' * 400_000),
    "deep unknown field": ("js", b'{"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
    "many members": ("js", b'{"x":[' + b"{}," * 1_000_000 + b"{}]}"),
    "long number": ("js", b'{"reqIdentifier":' + b"9" * 1_000_000 + b"}"),
    "huge message": ("go", _number(2**63) + b"x"),
    "huge text": ("go", b"\x0b\x7f\x03\x01\x01" + _number(2**40)),
    "huge count": ("go", b"\x0d\x7f\x03\x02" + _number(2**62) + b"\x00"),
    "many fields": ("go", b"\xfd\x30\x00\x00" + b"\x7f\x03\x02" + _number(2**22) + b"\x00" * ((3 << 20) - 12)),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("gzipped", [False, True])
def test_hostile_frames_cost_little_memory(case: str, gzipped: bool) -> None:
    """Depth, huge lengths and huge counts are refused, or read, without memory beyond a multiple of the frame."""
    name, frame = HOSTILE[case]
    if gzipped:
        name, frame = f"{name}+gzip", gzip.compress(frame, 1)
    tracemalloc.start()
    try:
        found = read(name, frame)
        assert tracemalloc.get_traced_memory()[1] < _MOST_BYTES
    finally:
        tracemalloc.stop()
    assert found is None or case in ("many members", "deep unknown field")


@pytest.mark.parametrize("size", [9, 16, 128])
def test_numbers_have_eight_bytes_at_most(size: int) -> None:
    """Gob's numbers are 64 bits wide; a longer one is no number, whatever it would come to."""
    frame = RECORDED_REQUESTS["41"][1]
    value = frame.rindex(b"\xfe\x07\xd2")
    longer = bytes([256 - size]) + (2002).to_bytes(size, "big")
    body = frame[frame.rindex(b"\x22\xff\x80") + 1 :].replace(frame[value : value + 3], longer)
    whole = frame[: frame.rindex(b"\x22\xff\x80")] + _number(len(body)) + body
    assert read("go", whole) is None


def test_a_bomb_is_inflated_up_to_the_bound_only() -> None:
    """What grows beyond the bound is refused, and no more than the bound of it is ever held."""
    bomb = gzip.compress(b'{"x":"' + b" " * (64 << 20))
    tracemalloc.start()
    try:
        assert read("js+gzip", bomb) is None
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_INFLATED_BYTES
    finally:
        tracemalloc.stop()


def test_long_type_definitions_are_not_remembered() -> None:
    """Clients' own definitions are kept for the next frame; kept long ones would be a way to fill the memory."""
    tracemalloc.start()
    try:
        for number in range(64):
            field = b"\x01" + _number(200_000) + b"x" * 200_000 + b"\x01\x04\x00"
            body = b"\x7f\x03\x02\x01" + field + b"\x00\x00" + _number(number)
            read("go", _number(len(body)) + body + b"\x01\x00")
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["js", "js+gzip"])
def test_deep_answers_are_refused(name: str) -> None:
    """A client's reader is no weaker than the server's."""
    frame = HOSTILE["deep unknown field"][1]
    with pytest.raises(EnvelopeError):
        CODECS[name].decode_answer(gzip.compress(frame, 1) if name.endswith("gzip") else frame)
