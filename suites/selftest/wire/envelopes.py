"""What tests of the wire share: arbitrary envelopes, the codecs, and frames of the recorded server."""

from __future__ import annotations

import base64

from hypothesis import strategies as st

from fixtures.wire.envelope import Answer, Codec, Request, codec

CODECS: dict[str, Codec] = {
    "js": codec("js"),
    "go": codec("go"),
    "js+gzip": codec("js", gzipped=True),
    "go+gzip": codec("go", gzipped=True),
}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.integers(-(2**31), 2**31 - 1)
# Gob leaves out what is empty, so that an empty `data` is read as none.
DATA = st.none() | st.binary(min_size=1, max_size=200)

REQUESTS = st.builds(
    Request, req_identifier=NUMBERS, token=TEXTS, send_id=TEXTS, operation_id=TEXTS, msg_incr=TEXTS, data=DATA
)
ANSWERS = st.builds(
    Answer,
    req_identifier=NUMBERS,
    msg_incr=TEXTS,
    operation_id=TEXTS,
    err_code=NUMBERS,
    err_msg=TEXTS,
    data=DATA,
)


def _request(user_id: str) -> Request:
    return Request(1001, send_id=user_id, operation_id="op-a-1", msg_incr="a-1", data=b"\n\x04" + user_id.encode())


RECORDED_REQUESTS: dict[str, tuple[str, bytes, Request]] = {
    "17": (
        "js",
        base64.b64decode(
            "eyJyZXFJZGVudGlmaWVyIjoxMDAxLCJ0b2tlbiI6IiIsInNlbmRJRCI6ImsxN2EiLCJvcGVyYXRpb25JRCI6Im9wLWZpcnN0LTEiLCJt"
            "c2dJbmNyIjoiZmlyc3QtMSIsImRhdGEiOiJDZ1JyTVRkaCJ9"
        ),
        Request(1001, send_id="k17a", operation_id="op-first-1", msg_incr="first-1", data=b"\n\x04k17a"),
    ),
    "40": (
        "go+gzip",
        base64.b64decode(
            "H4sIAAAAAAAA/yTIwQqCQBSF4XvSRjB7ifZCQY8ghIsILGh9yVsMxh0dZ5/P2ANlTG0O3/nllQDFQVQ8P69jIwPmiWCwbmSoW9Fg71Y8"
            "UsLy4jpRFARzFm3rKnJ16sVzsE7/PzuOj1pvPjqtODByItrMEz7Ze5F2+y3DuL7kcockjsl/kb4BAAD//5arWEqJAAAA"
        ),
        _request("k40a"),
    ),
    "41": (
        "go",
        base64.b64decode(
            "ZX8DAQEMR2VuZXJhbFdzUmVxAf+AAAEGAQ1SZXFJZGVudGlmaWVyAQQAAQVUb2tlbgEMAAEGU2VuZElEAQwAAQtPcGVyYXRpb25JRAEM"
            "AAEHTXNnSW5jcgEMAAEERGF0YQEKAAAAIv+AAf4H0gIEazQxYQEGb3AtYS0xAQNhLTEBBgoEazQxYQA="
        ),
        _request("k41a"),
    ),
    "42": (
        "js+gzip",
        base64.b64decode(
            "H4sIAAAAAAACAyXMsQ5AMBSF4Xc5M4mKqStLDQZvcKMXjbiluol3d8N2vn84NxKfzrPkMAdOsKaqTIEcNxZYoMDF4l2ne2tqUseDE+UQ"
            "5YvxKKk0mvdrcTLpAX57yqRolzENXb/ieQGZVDuFagAAAA=="
        ),
        _request("k42a"),
    ),
}
"""By recorded session: its encoding, the bytes of a client's frame, what they say."""

RECORDED_ANSWERS: dict[str, tuple[str, bytes, Answer]] = {
    "17": (
        "js",
        b'{"reqIdentifier":2002,"msgIncr":"","operationID":"","errCode":0,"errMsg":"","data":null}',
        Answer(2002),
    ),
    "40": (
        "go+gzip",
        base64.b64decode(
            "H4sIAAAAAAAA/xTKTQpCIRRH8fsneUIftKjeGzh4BG4gJG/iRO3qPBfTOjMcnsPv8TkAynItGJ2w4GL5bTynFl+RBYqg9xpMegrOhNO9"
            "sLgWczLrbL2J3LLn6ZZNZK9hbrW65nAkIj06ftcv/QMAAP//vZvKhWgAAAA="
        ),
        Answer(2002),
    ),
    "41": (
        "go",
        base64.b64decode(
            "X38DAQEEUmVzcAH/gAABBgENUmVxSWRlbnRpZmllcgEEAAEHTXNnSW5jcgEMAAELT3BlcmF0aW9uSUQBDAABB0VyckNvZGUBBAABBkVy"
            "ck1zZwEMAAEERGF0YQEKAAAAFP+AAf4H0gEDYS0xAQZvcC1hLTEA"
        ),
        Answer(1001, "a-1", "op-a-1"),
    ),
    "42": (
        "js+gzip",
        base64.b64decode(
            "H4sIAAAAAAAA/yTIMQ6FIAwG4Lv8MySwdn1vYfAQjVTCIMXCZry7Ubcv3wmTI2Vps25VDBRDiA77KKmtBgL7CAftYjyrtvQHQbv/Wsx+"
            "mgUUXi+jgACHzJMfXXcAAAD///cs3+1fAAAA"
        ),
        Answer(1001, "a-1", "op-a-1", data=b""),
    ),
}
"""By recorded session: its encoding, the bytes of a server's frame, what they say."""
