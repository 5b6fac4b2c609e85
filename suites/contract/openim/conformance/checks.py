"""What a description cannot say of an answer: who may not have been given it, and what must have been refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs

from suites.contract.openim.conformance.sample_data import ADMIN, FORGER, NOBODY, STRANGER, World
from suites.contract.openim.document.openapi import Rights
from verifier.model.redact import hide_secrets

_TOKEN_CODES: Final = range(1501, 1508)
_SHOWN: Final = 2000
_ONLY_FOR_ADMINISTRATORS: Final = {"/user/get_users_online_token_detail"}


class Broken(AssertionError):
    """An answer that breaks a rule of the contract."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request and what came back."""

    path: str
    rights: Rights
    world: World
    caller: str
    body: Any
    status: int
    answer: Any
    """The decoded envelope, None where there is no body."""

    @property
    def code(self) -> int:
        """The errCode; -1 without an envelope."""
        code = self.answer.get("errCode") if isinstance(self.answer, dict) else None
        return code if isinstance(code, int) else -1

    @property
    def done(self) -> bool:
        """Whether the server did what it was asked."""
        return self.code == 0

    def broken(self, what: str) -> Broken:
        """The sentence about it, fit for other people's eyes."""
        asked = f"{self.path}, asked by {self.caller} with {json.dumps(self.body)[:_SHOWN]}"
        answered = json.dumps(self.answer)[:_SHOWN] if self.answer is not None else "without a body"
        return Broken(hide_secrets(f"{asked}: {what}\n(HTTP {self.status} {answered})"))

    @property
    def data(self) -> Any:
        """What it gave."""
        return self.answer.get("data") if isinstance(self.answer, dict) else None


def check_rights(asked: Asked) -> None:
    """Nobody is given what is not his. Raises Broken."""
    level = asked.rights.level
    if level == "none":
        return
    if asked.caller in (NOBODY, FORGER) and not _stopped_at_the_door(asked):
        raise asked.broken("answers without a valid token")
    if asked.caller == ADMIN or not asked.done:
        return
    if level == "admin":
        raise asked.broken("is for administrators, and answers a user")
    if asked.path in _ONLY_FOR_ADMINISTRATORS and asked.data is not None:
        raise asked.broken("shows tokens to a user")
    if asked.caller == STRANGER and (level == "group" or (level == "member" and asked.data)):
        raise asked.broken("answers who does not belong to the group")
    owner = _owner(asked)
    if owner is not None and owner != asked.world.user(asked.caller):
        raise asked.broken(f"lets {asked.caller} act for {owner!r}")


def _stopped_at_the_door(asked: Asked) -> bool:
    """Whether headers or token were refused, before anything else was looked at."""
    missing = asked.code == 1001 and str(asked.answer.get("errDlt", "")).startswith("header must have ")
    return missing or asked.code in _TOKEN_CODES


def _owner(asked: Asked) -> str | None:
    """Whose thing the request is about, None where no one field says so."""
    name = asked.rights.owner.lower()
    if not name or not isinstance(asked.body, dict):
        return None
    # The server matches names without regard to case, and the last one counts.
    named = [value for key, value in asked.body.items() if key.lower() == name and value is not None]
    return named[-1] if named and isinstance(named[-1], str) else ""


def check_answer(asked: Asked, described: Mapping[str, jsonschema_rs.Validator]) -> None:
    """The envelope is the described one of its HTTP status, told by field; `described`: `200 done`, `200`, `400`.

    schemathesis judges the same by the whole schema, and can only say that neither of two shapes fits. Raises Broken.
    """
    fits = described.get(f"{asked.status} done" if asked.done else str(asked.status))
    wrong = [] if fits is None else list(fits.iter_errors(asked.answer))
    if wrong:
        told = "; ".join(f"{'.'.join(map(str, one.instance_path)) or 'the answer'}: {one.message}" for one in wrong)
        raise asked.broken(f"answers otherwise than described: {told}")


def check_binding(asked: Asked, fits: jsonschema_rs.Validator) -> None:
    """A body that does not fit the declared types is refused, never converted. Raises Broken."""
    if asked.done and not fits.is_valid(asked.body):
        raise asked.broken(f"takes a body that does not fit: {next(fits.iter_errors(asked.body)).message}")


def check_without_body(asked: Asked) -> None:
    """Only an envelope has a body: what breaks or is not there has none. Raises Broken."""
    if asked.status >= 404 and asked.answer is not None:
        raise asked.broken("has a body where the server sends none")
