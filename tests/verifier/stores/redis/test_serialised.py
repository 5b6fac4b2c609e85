"""Text is read from the wrappings of serialisers; what is not text is unreadable, and nothing fails."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.stores.redis.serialised import read_text

TEXT = "eyJhbGciOi.eyJVc2VySUQi.c2ln"
RAW = TEXT.encode()
WRAPPED = {
    "plain": RAW,
    "JSON string": json.dumps(TEXT).encode(),
    "Java string": b"\xac\xed\x00\x05t" + len(RAW).to_bytes(2, "big") + RAW,
    "long Java string": b"\xac\xed\x00\x05|" + len(RAW).to_bytes(8, "big") + RAW,
    "PHP string": b's:%d:"%s";' % (len(RAW), RAW),
    "MessagePack": b"\xbc" + RAW,
    "gzip": gzip.compress(RAW),
    "zlib of JSON": zlib.compress(json.dumps(TEXT).encode()),
    **{f"pickle {protocol}": pickle.dumps(TEXT, protocol) for protocol in (2, 3, 4, 5)},
}
UNREADABLE = {
    "bytes": b"\xff\xfe\x00",
    "a pickled object": pickle.dumps({"token": TEXT}),
    "a Java object": b"\xac\xed\x00\x05sr\x00\x0bSomeSession",
    "a MessagePack map": b"\x81\xa5token\xbc" + RAW,
    "a cut gzip": gzip.compress(RAW)[:-4],
    "too large unpacked": gzip.compress(b"a" * 1_000_001),
    "a NUL": b"a\x00b",
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_text_is_read(kind: str) -> None:
    """Through every wrapping."""
    assert read_text(WRAPPED[kind]) == TEXT


@pytest.mark.parametrize("kind", UNREADABLE)
def test_the_rest_is_unreadable(kind: str) -> None:
    """It is None, never an empty or a damaged text."""
    assert read_text(UNREADABLE[kind]) is None


def test_damaged_text_is_text() -> None:
    """An error page with bytes of another encoding is no token, and it can be shown."""
    assert read_text(b"<html>502 \xff\xfe</html>") == "<html>502 \\xff\\xfe</html>"


@given(st.binary())
def test_no_bytes_fail(raw: bytes) -> None:
    """Any value is text or unreadable."""
    assert read_text(raw) is None or isinstance(read_text(raw), str)


@given(st.binary(max_size=40))
def test_no_pickle_fails(raw: bytes) -> None:
    """Nor does what begins like a pickle."""
    read_text(b"\x80\x04" + raw)
