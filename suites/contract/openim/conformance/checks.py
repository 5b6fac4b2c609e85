"""Checks of an answer that an OpenAPI description cannot express: who may get it, and what must be refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs

from suites.contract.openim.conformance.sample_data import ADMIN, FORGER, NOBODY, STRANGER, SampleData
from suites.contract.openim.document.openapi import Rights
from verifier.model.redact import hide_secrets

_TOKEN_CODES: Final = range(1501, 1508)
_SHOWN: Final = 2000
_ONLY_FOR_ADMINISTRATORS: Final = {"/user/get_users_online_token_detail"}


class ContractViolation(AssertionError):
    """An answer breaks a rule of the contract."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer."""

    path: str
    rights: Rights
    sample: SampleData
    caller: str
    body: Any
    status: int
    answer: Any
    """The decoded envelope; None if there is no body."""

    @property
    def code(self) -> int:
        """The errCode; -1 if there is no envelope."""
        code = self.answer.get("errCode") if isinstance(self.answer, dict) else None
        return code if isinstance(code, int) else -1

    @property
    def done(self) -> bool:
        """Whether the request was accepted."""
        return self.code == 0

    def violation(self, what: str) -> ContractViolation:
        """The violation as an exception, with the request and the answer. Secrets are hidden."""
        request = f"{self.path}, called by {self.caller} with {json.dumps(self.body)[:_SHOWN]}"
        answer = json.dumps(self.answer)[:_SHOWN] if self.answer is not None else "without a body"
        return ContractViolation(hide_secrets(f"{request}: {what}\n(HTTP {self.status} {answer})"))

    @property
    def data(self) -> Any:
        """The `data` of the answer."""
        return self.answer.get("data") if isinstance(self.answer, dict) else None


def check_rights(exchange: Exchange) -> None:
    """A caller gets only what its rights allow. Raises ContractViolation."""
    level = exchange.rights.level
    if level == "none":
        return
    if exchange.caller in (NOBODY, FORGER) and not _refused_by_headers(exchange):
        raise exchange.violation("accepts a request without a valid token")
    if exchange.caller == ADMIN or not exchange.done:
        return
    if level == "admin":
        raise exchange.violation("is for administrators, and accepts a request of a user")
    if exchange.path in _ONLY_FOR_ADMINISTRATORS and exchange.data is not None:
        raise exchange.violation("shows tokens to a user")
    if exchange.caller == STRANGER and (level == "group" or (level == "member" and exchange.data)):
        raise exchange.violation("accepts a request of a user who is not in the group")
    owner = _owner(exchange)
    if owner is not None and owner != exchange.sample.user(exchange.caller):
        raise exchange.violation(f"lets {exchange.caller} act for {owner!r}")


def _refused_by_headers(exchange: Exchange) -> bool:
    """Whether the request was refused for its headers or token."""
    missing = exchange.code == 1001 and str(exchange.answer.get("errDlt", "")).startswith("header must have ")
    return missing or exchange.code in _TOKEN_CODES


def _owner(exchange: Exchange) -> str | None:
    """The user whose data the request is about; None if no single field names one."""
    name = exchange.rights.owner.lower()
    if not name or not isinstance(exchange.body, dict):
        return None
    # The server matches names without regard to case, and the last one counts [F109].
    named = [value for key, value in exchange.body.items() if key.lower() == name and value is not None]
    return named[-1] if named and isinstance(named[-1], str) else ""


def check_answer(exchange: Exchange, described: Mapping[str, jsonschema_rs.Validator]) -> None:
    """The envelope fits the description of its HTTP status. Raises ContractViolation, which names the fields.

    schemathesis validates the whole schema as well, but can only report that neither of two alternatives fits.

    Args:
        described: validators for `200 done`, and for refusals with `200` and `400`.
    """
    fits = described.get(f"{exchange.status} done" if exchange.done else str(exchange.status))
    wrong = [] if fits is None else list(fits.iter_errors(exchange.answer))
    if wrong:
        fields = "; ".join(f"{'.'.join(map(str, one.instance_path)) or 'the answer'}: {one.message}" for one in wrong)
        raise exchange.violation(f"does not answer as described: {fields}")


def check_binding(exchange: Exchange, fits: jsonschema_rs.Validator) -> None:
    """A body that does not fit the declared types is refused, not converted. Raises ContractViolation."""
    if exchange.done and not fits.is_valid(exchange.body):
        raise exchange.violation(f"accepts a body that does not fit: {next(fits.iter_errors(exchange.body)).message}")


def check_without_body(exchange: Exchange) -> None:
    """Errors of 404 and above have no body. Raises ContractViolation."""
    if exchange.status >= 404 and exchange.answer is not None:
        raise exchange.violation("has a body where OpenIM sends none")
