"""docs/profile.md: every setting of `stack.toml` with its type, unit, default, an example and what it means."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from verifier.commands.reference_relations import relations_section
from verifier.profile.models import Profile

INTRODUCTION = """\
# The profile: `stack.toml`

One file describes one stack: which store plays which part, how the objects of the checks are called there, and what was decided
about the move. `verifier init` writes one from the stores, `verifier doctor` tests it, and
[examples/stack.toml](../examples/stack.toml) is a complete one. Editors complete and check it by
[stack.schema.json](stack.schema.json): name it in the first line, `#:schema PATH`.

A setting that is not listed here is an error. `[F…]` refers to [openim-facts.md](openim-facts.md), IDs such as USR-01 to
[checks.md](checks.md).
"""

_UNITS = {
    "rows_per_s": "rows/s",
    "statements_per_s": "statements/s",
    "_s": "s",
    "hours": "h",
    "_days": "days",
    "chunk_rows": "rows",
    "chunk_rows_min": "rows",
    "min_rows": "rows",
    "max_findings": "findings",
    "max_concurrency": "statements",
    "token_sample": "imTokens",
    "imports.sample": "conversations",
    "media.sample": "files",
    "batch_size": "ids",
    "greens": "runs",
}
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", date: "date", datetime: "date and time"}


def profile_page() -> str:
    """The page, without its head."""
    lines = [INTRODUCTION]
    for headings, model in _sections():
        path = headings[0]
        lines += [f"## {', '.join(headings) or 'top level'}", "", _paragraphs(model), ""]
        lines += ["| setting | type | default | example | meaning |", "|---|---|---|---|---|"]
        lines += [_row(path, name, field) for name, field in model.model_fields.items()]
        lines.append("")
    return "\n".join([*lines, *relations_section()]).rstrip("\n") + "\n"


def settings() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting once: the heading of its section, its name, and the field."""
    for headings, model in _sections():
        for name, field in model.model_fields.items():
            yield headings[0], name, field


def _sections() -> list[tuple[list[str], type[BaseModel]]]:
    """The tables of a profile in order; tables of the same form, such as two databases, share a section."""
    found: dict[type[BaseModel], list[str]] = {}
    for path, model in _models(Profile, ""):
        found.setdefault(model, []).append(path)
    return [(paths, model) for model, paths in found.items()]


def _models(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        inner = table_of(field.annotation)
        if inner is not None and inner is not model:  # a relation's homes are relations
            many = typing.get_origin(field.annotation) is dict
            yield from _models(inner, f"{path}.{name}".lstrip(".") + (".NAME" if many else ""))


def table_of(annotation: object) -> type[BaseModel] | None:
    """The model of a setting that is a table, or several; None for a plain value."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in typing.get_args(annotation) if (found := table_of(part)) is not None), None)


def unit_of(path: str, name: str, field: FieldInfo) -> str:
    """The unit of a number, "" for anything else: as the field says, else from the end of its name."""
    if isinstance(field.json_schema_extra, dict) and "unit" in field.json_schema_extra:
        return str(field.json_schema_extra["unit"])
    if not {int, float} & {field.annotation, *typing.get_args(field.annotation)}:
        return ""
    full = f"{path}.{name}"
    return next((unit for end, unit in _UNITS.items() if full.endswith(end)), "")


def _paragraphs(model: type[BaseModel]) -> str:
    blocks = (model.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def _row(path: str, name: str, field: FieldInfo) -> str:
    unit = unit_of(path, name, field)
    kind = type_text(field.annotation) + (f", {unit}" if unit else "")
    example = toml_value(field.examples[0]) if field.examples else _header(path, name, field)
    cells = [
        f"`{name}`",
        kind,
        "required" if field.is_required() else _default(field),
        f"`{example}`",
        field.description or "",
    ]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _header(path: str, name: str, field: FieldInfo) -> str:
    """How the table begins in the file."""
    full, origin = f"{path}.{name}".lstrip("."), typing.get_origin(field.annotation)
    return f"[[{full}]]" if origin is tuple else f"[{full}.NAME]" if origin is dict else f"[{full}]"


def type_text(annotation: Any) -> str:
    """A type in words."""
    if table_of(annotation) is not None:
        origin = typing.get_origin(annotation)
        return "tables by name" if origin is dict else "array of tables" if origin is tuple else "table"
    if annotation in _TYPES:
        return _TYPES[annotation]
    if annotation is SecretStr:
        return "secret string"
    if annotation is Any:
        return "any value"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{item.value}`" for item in annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{item}`" for item in arguments)
    if origin is tuple:
        return f"array of {type_text(arguments[0])}s"
    if origin is dict:
        return "table" if arguments[1] is Any else f"table, each {type_text(arguments[1])}"
    if origin is typing.Annotated:
        return type_text(arguments[0])
    return " or ".join(dict.fromkeys(type_text(item) for item in arguments if item is not type(None)))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if value is None or isinstance(value, BaseModel) else f"`{toml_value(value)}`"


def toml_value(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = (f"{_key(str(name))} = {toml_value(item)}" for name, item in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return f"{value:_}" if isinstance(value, int) else f"{value:g}"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)
