"""Protobuf messages as dictionaries, for comparing them as JSON values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet


def as_dict(message: Message, decode_bytes: Callable[[bytes], Any], *, with_unknown: bool = False) -> dict[str, Any]:
    """The set fields of a message, at any depth.

    Args:
        decode_bytes: gives the value of a field of bytes.
        with_unknown: add `$unknown`, the numbers of unknown fields, where there are some.
    """

    def value_of(value: Any) -> Any:
        if isinstance(value, Message):
            return as_dict(value, decode_bytes, with_unknown=with_unknown)
        return decode_bytes(value) if isinstance(value, bytes) else value

    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            found[field.name] = {str(key): value_of(one) for key, one in value.items()}
        elif field.is_repeated:
            found[field.name] = [value_of(one) for one in value]
        else:
            found[field.name] = value_of(value)
    if with_unknown and (unknown := unknown_numbers(message)):
        found["$unknown"] = unknown
    return found


def unknown_numbers(message: Message) -> list[int]:
    """The numbers of the fields in a message, but not in the messages inside it, that its .proto file does not name."""
    return [entry.field_number for entry in UnknownFieldSet(message)]  # type: ignore[attr-defined]
