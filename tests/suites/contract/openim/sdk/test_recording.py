"""The recorded SDK calls."""

from __future__ import annotations

from suites.contract.openim.sdk import recording as sdk_recording


def test_the_recorded_protobuf_has_no_unknown_fields() -> None:
    """The .proto file names every field of the recorded protobuf requests and answers."""
    for call in sdk_recording.load():
        if call.path in sdk_recording.PROTOBUF:
            request, answer = sdk_recording.decoded(call)
            for message in (request, answer):
                assert not sdk_recording.unknown_fields(message)
