"""Resume tokens of change streams."""

from bson import Timestamp

from verifier.stores.mongo.stream import time_of_token


def test_the_time_in_a_token() -> None:
    """MongoDB's tokens contain their logical time; tokens of other servers are not interpreted."""
    data = "8265F0C0FF000000022B022C0100296E5A1004"
    assert time_of_token({"_data": data}) == Timestamp(0x65F0C0FF, 2)
    assert time_of_token({"_data": "340000001073000400"}) is None
    assert time_of_token({"_data": "82"}) is None
    assert time_of_token(None) is None
