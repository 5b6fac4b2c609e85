"""The JSON Schema of `stack.toml`, for editors such as VS Code with taplo (`#:schema` in the first line of the file)."""

from __future__ import annotations

from typing import Any

from verifier.profile.models import Profile

DRAFT = "http://json-schema.org/draft-07/schema#"
REFERENCE = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}|^file:",
    "description": "A value of the environment, ${NAME}, or the content of a file, file:PATH",
}
# Defaults are pydantic's; docs/profile.md has them as TOML. `unit` is this project's own.
_DROPPED = frozenset({"title", "default", "writeOnly", "unit"})
_SCALARS = frozenset({"integer", "number", "boolean"})


def profile_schema() -> dict[str, Any]:
    """The schema of the file as it is written: before `${NAME}` and `file:PATH` are replaced.

    It differs from pydantic's in what editors need: secrets are plain strings, and each setting that is not free text may also be a
    reference. Unknown keys are refused as the models refuse them.
    """
    schema = _adjusted(Profile.model_json_schema())
    schema["$defs"]["reference"] = REFERENCE
    return {"$schema": DRAFT, "title": "stack.toml", **schema}


def _adjusted(node: dict[str, Any]) -> dict[str, Any]:
    """One schema, with the schemas in it."""
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: _adjusted(item) for name, item in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            kept[key] = _adjusted(value)
        elif key == "anyOf":
            # TOML has no null: a setting without a value is left out.
            kept[key] = [_adjusted(item) for item in value if item != {"type": "null"}]
        elif key not in _DROPPED and (key, value) != ("format", "password"):
            kept[key] = value
    return _or_reference(kept) if _is_typed(kept) else kept


def _is_typed(node: dict[str, Any]) -> bool:
    return node.get("type") in _SCALARS or not {"enum", "const", "format"}.isdisjoint(node)


def _or_reference(node: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: node.pop(key) for key in ("description", "examples") if key in node}
    return {**about, "anyOf": [node, {"$ref": "#/$defs/reference"}]}
