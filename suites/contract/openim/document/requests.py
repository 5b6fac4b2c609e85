"""The descriptions of requests, generated from the dataclasses of the double."""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

from fixtures.openim.binding import wire_name

_BOUNDS: dict[str, dict[str, Any]] = {
    "int32": {"format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    "uint64": {"minimum": 0, "maximum": 2**64 - 1},
}
_PLAIN: dict[Any, dict[str, Any]] = {str: {"type": "string"}, bool: {"type": "boolean"}}


class Requests:
    """The schemas of requests by name, collected while they are requested."""

    def __init__(self) -> None:
        self.schemas: dict[str, dict[str, Any]] = {}
        self._described: dict[str, Any] = {}

    def schema(self, request: type[Any]) -> dict[str, Any]:
        """A reference to the schema of a request, or of a message inside one.

        Like the decoder of the server, the schema requires no field, allows unknown names, and allows null everywhere.
        Other refusals of a route are described by its errCodes.
        """
        name = _name(request)
        if self._described.setdefault(name, request) is not request:
            # Another area has a request of this name: the later one gets the name of its area as a prefix.
            name = request.__module__.rpartition(".")[2].capitalize() + name
            if self._described.setdefault(name, request) is not request:
                raise ValueError(f"Two requests are named {name}: {self._described[name]} and {request}")
        if name not in self.schemas:
            self.schemas[name] = {}  # before the fields, because a message may contain itself
            hints = typing.get_type_hints(request, include_extras=True)
            described = {
                "type": ["object", "null"],
                "description": _sentence(request),
                "properties": {wire_name(one.name): self._value(hints[one.name]) for one in fields(request)},
            }
            self.schemas[name].update({key: value for key, value in described.items() if value != {}})
        return {"$ref": f"#/components/schemas/{name}"}

    def _value(self, hint: Any) -> dict[str, Any]:
        """The schema of a field; null is always allowed."""
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(one for one in typing.get_args(hint) if one is not type(None))
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if is_dataclass(hint):
            return self.schema(typing.cast("type[Any]", hint))
        if origin is Annotated:
            return {"type": ["integer", "null"], **_BOUNDS[hint.__metadata__[0]]}
        if origin is list:
            return {"type": ["array", "null"], "items": self._value(arguments[0])}
        if origin is dict:
            inner: Any = True if arguments[1] is Any else self._value(arguments[1])
            return {"type": ["object", "null"], "additionalProperties": inner}
        return {"type": [_PLAIN[hint]["type"], "null"]}


def _name(request: type[Any]) -> str:
    name = request.__name__
    return name if name.endswith("Req") else f"{name}Req"


def _sentence(request: type[Any]) -> str:
    return " ".join((request.__doc__ or "").split())
