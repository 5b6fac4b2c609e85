"""Reads a profile: TOML in, a validated `Profile` or a ProfileError with a clear message out."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from verifier.model.redact import hide_from_now_on
from verifier.model.urls import passwords_in
from verifier.profile.errors import ProfileError
from verifier.profile.models import Profile
from verifier.profile.secrets import resolve


def load_profile(path: Path, *, environment: Mapping[str, str] | None = None) -> Profile:
    """Read a profile from a file.

    Args:
        path: the file, such as `stack.toml`. Relative paths in it start at its directory.
        environment: the values of `${NAME}`; `os.environ` if not given.

    Raises ProfileError with every fault that was found.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ProfileError(f"there is no profile at {path}. Write one with: verifier init --output {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(
            f"cannot read the profile {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}."
        ) from None
    return _with_paths_from(parse_profile(text, name=str(path), environment=environment), path.absolute().parent)


def _with_paths_from(profile: Profile, directory: Path) -> Profile:
    """Make relative paths start at the profile's directory, so that a run from anywhere finds the same history."""
    changes: dict[str, Any] = {}
    if "://" not in profile.history and profile.history != "memory:":
        changes["history"] = str(directory / profile.history)
    if profile.timing.pause_file is not None:
        pause_file = str(directory / profile.timing.pause_file)
        changes["timing"] = profile.timing.model_copy(update={"pause_file": pause_file})
    if profile.canary is not None:
        journal = str(directory / profile.canary.journal)
        changes["canary"] = profile.canary.model_copy(update={"journal": journal})
    return profile.model_copy(update=changes)


def parse_profile(text: str, *, name: str = "profile", environment: Mapping[str, str] | None = None) -> Profile:
    """Read a profile from its text. `name` is what errors call it. Raises ProfileError with every fault that was found."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{name} is not valid TOML: {error}.") from None
    try:
        profile = Profile.model_validate(resolve(raw, environment=environment))
        hide_from_now_on(_secrets(profile))
        return profile
    except ValidationError as error:
        faults = "\n".join(f"  {_sentence(item)}" for item in error.errors(include_url=False, include_context=False))
        raise ProfileError(f"{name} cannot be used:\n{faults}") from None


def _secrets(profile: Profile) -> Iterator[str]:
    """Every secret of a profile, and the passwords in its URLs."""
    values = [getattr(role, name) for role in profile.roles.named().values() for name in type(role).model_fields]
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    for text in (*secrets, profile.history):
        if "://" in text:
            yield from passwords_in(text)
        elif text in secrets:
            yield text


def _sentence(fault: Mapping[str, Any]) -> str:
    where = _path(fault["loc"])
    kind, message = fault["type"], str(fault["msg"])
    if kind == "extra_forbidden":
        return _unknown(fault["loc"])
    if kind == "missing":
        return f"{where}: this setting is missing."
    return f"{where or 'profile'}: {message.removeprefix('Value error, ')}."


def _path(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _unknown(loc: tuple[Any, ...]) -> str:
    valid = _valid_keys(loc[:-1])
    close = difflib.get_close_matches(str(loc[-1]), valid, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{_path(loc)}: unknown setting.{hint} Valid here: {', '.join(valid)}."


def _valid_keys(loc: tuple[Any, ...]) -> list[str]:
    model: Any = Profile
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = _model_in(model.model_fields[part].annotation) if part in model.model_fields else model
    return list(model.model_fields)


def _model_in(annotation: Any) -> Any:
    """The model inside `X | None`, `dict[str, X]` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    candidates = [_model_in(argument) for argument in typing.get_args(annotation) if argument is not type(None)]
    return next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), annotation)
